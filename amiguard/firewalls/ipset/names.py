"""Which sets there are, what they are called, and which of them holds a target. Pure.

amiguard4, amiguard6                     absolute bans of single addresses
amiguard4-net, ...                       the same of networks of any prefix length
amiguard4-unproven, amiguard4-unproven-net, ...   bans that spare the answers to what this server asked
amiguard4-allow, amiguard6-allow         who is never dropped
amiguard4_NAME, amiguard6_NAME           whom the list NAME names: of 16 letters at most, for a set's name has 31"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from amiguard.firewalls.elements import SINGLE, Kept, place_of, target_at
from amiguard.firewalls.ipset.format import Key
from amiguard.model import Ban, Target

PREFIX = "amiguard"
SIZE = 1 << 20
"""Elements that a set takes: more than the bans that amiguard ever has at once."""


class SetName(NamedTuple):
    """One set: of an IP version, for one strength of bans, and for networks or for single addresses."""

    version: int
    absolute: bool
    networks: bool

    @property
    def text(self) -> str:
        """What the kernel calls it."""
        return f"{PREFIX}{self.version}{'' if self.absolute else '-unproven'}{'-net' if self.networks else ''}"

    @property
    def kind(self) -> str:
        """What ipset calls its kind."""
        return "hash:net" if self.networks else "hash:ip"


BAN_SETS = tuple(
    SetName(version, absolute, networks)
    for version in (4, 6)
    for absolute in (True, False)
    for networks in (False, True)
)


def allow_set(version: int) -> str:
    """Return what the set of those who are never dropped is called."""
    return f"{PREFIX}{version}-allow"


def list_set(feed: str, version: int) -> str:
    """Return what the set of those is called whom a list names."""
    return f"{PREFIX}{version}_{feed}"


def list_of(name: str) -> str:
    """Return the list whose set is called so, or the spare one of it; empty = none."""
    match = _OF_LIST.fullmatch(name)
    return match[1] if match else ""


_OF_LIST = re.compile(rf"{PREFIX}[46]_([a-z][a-z0-9]*)(?:-new)?")


def spare(name: str) -> str:
    """Return what a set is called that is filled before it takes the place of `name`."""
    return f"{name}-new"


def place(target: Target, *, absolute: bool) -> tuple[SetName, list[Key]]:
    """Return which set holds a target that is banned so, and its elements there."""
    kept, packed = place_of(target, absolute)
    if kept.prefix is None:
        return _OF_ADDRESSES[kept], [packed]
    return SetName(kept.version, absolute, networks=True), network_keys(packed, kept.prefix)


_OF_ADDRESSES = {kept: SetName(kept.version, kept.absolute, networks=False) for kept in SINGLE.values()}


def network_keys(packed: bytes, prefix: int) -> list[Key]:
    """Return a network's elements: ipset knows no /0, so everything is two halves."""
    if prefix:
        return [packed + bytes([prefix])]
    return [packed + b"\1", b"\x80" + packed[1:] + b"\1"]


def targets_at(one: SetName, key: Key) -> list[Target]:
    """Return what may have put a key into a set: half of everything is a network too."""
    if not one.networks:
        return [target_at(Kept(one.version, None), key)]
    packed, prefix = key[:-1], key[-1]
    whole = [target_at(Kept(one.version, 0), bytes(len(packed)))] if prefix == 1 else []
    return [target_at(Kept(one.version, prefix), packed), *whole]


def sizes(bans: Iterable[Ban]) -> Counter[tuple[int, bool, bool]]:
    """Return how many of these bans each set gets."""
    return Counter((6 if ":" in ban.target else 4, ban.absolute, "/" in ban.target) for ban in bans)
