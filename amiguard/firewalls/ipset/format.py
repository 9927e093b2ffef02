"""The messages of ipset, packed by hand: bulk additions are many, and pyroute2 has no way to make one. Pure.

Unlike those of nftables they are no transaction: each is done by itself, and of one that fails in the middle what stood
before stays done. Source: Linux include/uapi/linux/netfilter/ipset/ip_set.h and net/netfilter/ipset/ip_set_core.c."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from amiguard.firewalls.netlinkformat import NFGENMSG, NLA_F_NESTED, Message, attribute, attributes

NFNL_SUBSYS_IPSET = 6
PROTOCOL = 7
NLM_F_EXCL = 0x200
NLA_F_NET_BYTEORDER = 0x4000

CREATE, DESTROY, SWAP, LIST, ADD, DELETE, TEST, GET_BYNAME = 2, 3, 6, 7, 9, 10, 11, 14

ATTR_PROTOCOL = 1
ATTR_SETNAME = 2
ATTR_TYPENAME = ATTR_SETNAME2 = 3
ATTR_REVISION = 4
ATTR_FAMILY = 5
ATTR_FLAGS = 6
ATTR_DATA = 7
ATTR_ADT = 8
ATTR_LINENO = 9
ATTR_INDEX = 11

ATTR_IP = 1
ATTR_CIDR = 3
ATTR_TIMEOUT = 6
ATTR_CADT_FLAGS = 8
ATTR_HASHSIZE = 18
ATTR_MAXELEM = 19
ATTR_BYTES = ATTR_ELEMENTS = 24
ATTR_PACKETS = 25
IPADDR = {4: 1, 16: 2}
"""By the length of a key."""
FLAG_WITH_COUNTERS = 1 << 3
FLAG_LIST_SETNAME = 1 << 1
FLAG_LIST_HEADER = 1 << 2

REVISION = {"hash:ip": 1, "hash:net": 3}
"""The oldest revision that can count: every kernel since 3.12 takes it."""

LONGEST = 2_147_483
"""Seconds, 24 days and 20 hours: the longest time-out that ipset takes (IPSET_MAX_TIMEOUT)."""

IN_USE = 4100
FULL = 4352
REFUSALS = {
    4097: "it does not understand the message",
    4098: "there is no such kind of set",
    4099: "there are too many sets",
    IN_USE: "rules use it",
    4102: "the sets are of different kinds",
    4103: "the element is there already, or is not there",
}
"""What ipset's own error numbers say (enum ipset_errno)."""


Key = bytes
"""One element: an address, or a network, whose prefix length stands in one byte behind it."""


def create(
    name: str, kind: str, version: int, size: int, *, counters: bool, new: bool = False, buckets: int = 0
) -> Message:
    """Create a set for at most `size` elements that may have time-outs, or keep the one that is there.

    It grows by doubling its `buckets` (0: the kernel's own 1,024), and each time waits until no packet looks at the old
    ones. The kernel answers EEXIST where one of that name is there and of another kind, or is to be `new`."""
    flags = attribute(ATTR_CADT_FLAGS | NLA_F_NET_BYTEORDER, struct.pack(">I", FLAG_WITH_COUNTERS)) if counters else b""
    data = (
        attribute(ATTR_TIMEOUT | NLA_F_NET_BYTEORDER, struct.pack(">I", 0))
        + attribute(ATTR_MAXELEM | NLA_F_NET_BYTEORDER, struct.pack(">I", size))
        + (attribute(ATTR_HASHSIZE | NLA_F_NET_BYTEORDER, struct.pack(">I", buckets)) if buckets else b"")
        + flags
    )
    family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004 -- IP's number
    body = (
        attribute(ATTR_TYPENAME, kind.encode() + b"\0")
        + attribute(ATTR_REVISION, bytes([REVISION[kind]]))
        + attribute(ATTR_FAMILY, bytes([family]))
        + attribute(ATTR_DATA | NLA_F_NESTED, data)
    )
    return _message(f"the set {name}", CREATE, name, body)._replace(flags=NLM_F_EXCL if new else 0)


def destroy(name: str) -> Message:
    """Remove a set that no rule uses."""
    return _message(f"the removal of set {name}", DESTROY, name)


def swap(name: str, other: str) -> Message:
    """Exchange what two sets hold, at once; the rules stay with the names."""
    return _message(
        f"the exchange of sets {name} and {other}", SWAP, name, attribute(ATTR_SETNAME2, other.encode() + b"\0")
    )


def get_index(name: str) -> Message:
    """Ask for the number by which rules know a set."""
    return _message(f"the number of set {name}", GET_BYNAME, name)


def index_of(body: bytes) -> int:
    """Return what an answer to `get_index` tells."""
    told = dict(attributes(body, NFGENMSG.size))
    return int.from_bytes(told[ATTR_INDEX], "big")


def add(name: str, elements: Iterable[bytes]) -> Message:
    """Put elements into a set, or give those that are there their new time-out; a thousand or so."""
    return _message(f"elements for set {name}", ADD, name, _several(elements))


def delete(name: str, elements: Iterable[bytes]) -> Message:
    """Take elements out of a set, whether it has them or not; a thousand or so."""
    return _message(f"the removal of elements from set {name}", DELETE, name, _several(elements))


def test(name: str, packed: bytes) -> Message:
    """Ask whether a set has an element; the kernel refuses if it has not."""
    return _message(f"an element of set {name}", TEST, name, packed)


def list_set(name: str) -> Message:
    """Ask for a set with its elements, to be dumped."""
    return _message(f"the list of set {name}", LIST, name)


def list_header(name: str) -> Message:
    """Ask for a set without its elements, to be dumped: the kernel counts them, 10 to 15 ns for each."""
    flags = attribute(ATTR_FLAGS | NLA_F_NET_BYTEORDER, struct.pack(">I", FLAG_LIST_HEADER))
    return _message(f"the number of elements in set {name}", LIST, name, flags)


def list_names() -> Message:
    """Ask for the names of all sets, whosever they are, to be dumped."""
    flags = attribute(ATTR_FLAGS | NLA_F_NET_BYTEORDER, struct.pack(">I", FLAG_LIST_SETNAME))
    return _message("the names of all sets", LIST, "", flags)


def name_in(body: bytes) -> str:
    """Return what an answer to `list_names` tells."""
    told = dict(attributes(body, NFGENMSG.size))
    return told.get(ATTR_SETNAME, b"").rstrip(b"\0").decode(errors="replace")


def elements_in(body: bytes) -> int | None:
    """Return what an answer to `list_header` tells; kernels before 4.10 tell nothing."""
    told = dict(attributes(dict(attributes(body, NFGENMSG.size)).get(ATTR_DATA, b""))).get(ATTR_ELEMENTS)
    return None if told is None else int.from_bytes(told, "big")


def element(key: Key, timeout: int | None = 0) -> bytes:
    """Pack one element that lives for so many seconds; 0 = for ever, None = it is only named."""
    head, pack = _FORMS[len(key), timeout is not None]
    values = (key,) if len(key) in IPADDR else (key[:-1], _CIDR_HEAD, key[-1])
    return pack(head, *values) if timeout is None else pack(head, *values, _TIMEOUT_HEAD, min(timeout, LONGEST))


def elements(timed: Iterable[tuple[Key, int]]) -> list[bytes]:
    """Pack elements of one set with their seconds, fast: a million are put in while events wait."""
    pairs = list(timed)
    if not pairs or len(pairs[0][0]) not in IPADDR:
        return [element(key, timeout) for key, timeout in pairs]
    head, pack = _FORMS[len(pairs[0][0]), True]
    return [
        pack(head, key, _TIMEOUT_HEAD, timeout if timeout < LONGEST else LONGEST)  # noqa: FURB136 -- thrice as fast as min
        for key, timeout in pairs
    ]


_CIDR_HEAD = attribute(ATTR_CIDR, b"\0")[:4]
_TIMEOUT_HEAD = attribute(ATTR_TIMEOUT | NLA_F_NET_BYTEORDER, bytes(4))[:4]


def _form(length: int, *, network: bool, timed: bool) -> tuple[bytes, Callable[..., bytes]]:
    """Return what stands before the address in an element of these parts, and what packs it with the rest."""
    address = attribute(ATTR_IP | NLA_F_NESTED, attribute(IPADDR[length] | NLA_F_NET_BYTEORDER, bytes(length)))
    whole = attribute(ATTR_DATA | NLA_F_NESTED, address + bytes(8) * network + bytes(8) * timed)
    head = whole[: len(whole) - 8 * network - 8 * timed - length]
    return head, struct.Struct(f">{len(head)}s{length}s" + "4sB3x" * network + "4sI" * timed).pack


_FORMS = {
    (length + network, timed): _form(length, network=network, timed=timed)
    for length in IPADDR
    for network in (False, True)
    for timed in (False, True)
}


class Listed(NamedTuple):
    """An element as the kernel lists it."""

    key: Key
    packets: int
    bytes: int
    left: int | None
    """Seconds; None = it has no end."""


def listed(body: bytes) -> Iterator[Listed]:
    """Yield the elements in one answer to `list_set`."""
    for _, told in attributes(_elements(body)):
        parts = dict(attributes(told))
        address = next((packed for _, packed in attributes(parts.get(ATTR_IP, b""))), b"")
        packets, octets, left = (
            int.from_bytes(parts.get(kind, b""), "big") for kind in (ATTR_PACKETS, ATTR_BYTES, ATTR_TIMEOUT)
        )
        yield Listed(address + parts.get(ATTR_CIDR, b""), packets, octets, left or None)


def listed_keys(body: bytes) -> list[Key]:
    """Return the same without what was counted, twenty times faster: all elements of a set are usually packed alike."""
    elements = _elements(body)
    if not elements:
        return []
    size, length = _ALIKE.unpack_from(elements)
    length -= 4
    if len(elements) % size or length not in IPADDR:
        return [one.key for one in listed(body)]
    is_network = elements[12 + length : 16 + length] == _CIDR_HEAD
    form = f"=H10x{length}s" + "4xs" * is_network
    found = list(struct.iter_unpack(f"{form}{size - struct.calcsize(form)}x", elements))
    if any(one[0] != size for one in found):
        return [one.key for one in listed(body)]
    return [one[1] + one[2] for one in found] if is_network else [one[1] for one in found]


_ALIKE = struct.Struct("=H6xH")
"""An element's length, and that of the address in it with its header."""


def _elements(body: bytes) -> bytes:
    return dict(attributes(body, NFGENMSG.size)).get(ATTR_ADT, b"")


def _several(elements: Iterable[bytes]) -> bytes:
    return attribute(ATTR_LINENO, struct.pack("=I", 0)) + attribute(ATTR_ADT | NLA_F_NESTED, b"".join(elements))


def _message(what: str, command: int, name: str, rest: bytes = b"") -> Message:
    head = NFGENMSG.pack(socket.AF_INET, 0, 0) + attribute(ATTR_PROTOCOL, bytes([PROTOCOL]))
    named = attribute(ATTR_SETNAME, name.encode() + b"\0") if name else b""
    return Message(what, NFNL_SUBSYS_IPSET << 8 | command, 0, head + named + rest)
