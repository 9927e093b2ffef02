"""What of a list is dropped: which addresses and networks are valid, and how they are kept. Pure."""

from __future__ import annotations

import re
import socket
from enum import Enum

from amiguard.feeds.special import WIDEST, is_special
from amiguard.listed import Width

_ADDRESS = {4: Width(4, 32), 6: Width(6, 128)}
_TARGET = re.compile(rb"([0-9A-Fa-f:.]{2,45})(?:/([0-9]{1,3}))?")


class LeftOut(Enum):
    """Why something names nobody."""

    GARBAGE = "garbage"
    """It is no address and no network."""
    SPECIAL = "special"
    """Private, reserved, multicast or documentation's."""
    WIDE = "wide"
    """The network is too wide."""


Named = tuple[Width, int]
"""A network: its width, and the bits that its prefix fixes."""


def named(text: bytes) -> Named | LeftOut:
    """Return whom an address or network in CIDR notation names."""
    match = _TARGET.fullmatch(text)
    if match is None:
        return LeftOut.GARBAGE
    address, prefix = match.groups()
    try:
        version, packed = _packed(address.decode())
    except OSError:
        return LeftOut.GARBAGE
    width = _ADDRESS[version] if prefix is None else Width(version, int(prefix))
    if width.shift < 0:
        return LeftOut.GARBAGE
    if width.prefix < WIDEST[version]:
        return LeftOut.WIDE
    number = packed >> width.shift
    return LeftOut.SPECIAL if is_special(width, number) else (width, number)


def split(width: Width, number: int) -> tuple[Width, range]:
    """Return the networks that a network consists of, of the next prefix length that is a multiple of eight.

    So a list costs a packet at most four lookups of IPv4; a /25 becomes 128 addresses."""
    narrower = Width(width.version, -(-width.prefix // 8) * 8)
    more = narrower.prefix - width.prefix
    return narrower, range(number << more, (number + 1) << more)


def _packed(text: str) -> tuple[int, int]:
    """Return IP version and number of an address; IPv4 that is mapped into IPv6 is IPv6's special. Raises OSError."""
    if ":" in text:
        return 6, int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    return 4, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
