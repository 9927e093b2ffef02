"""Counters of nftables: the named one of everything that was dropped, and those that set elements carry.

Packed and read by hand: pyroute2 knows no named counters, and elements are many. Source of the numbers: Linux
include/uapi/linux/netfilter/nf_tables.h."""

from __future__ import annotations

from amiguard.firewalls.elements import (
    NFTA_SET_ELEM_LIST_ELEMENTS,
    body_of,
    element,
)
from amiguard.firewalls.netlinkformat import ATTRIBUTE, NFGENMSG, NLA_F_NESTED, Message, attribute, attributes
from amiguard.firewalls.nftmessages import NFPROTO_INET, NLM_F_CREATE, Kind, kind_of
from amiguard.model import Drops

NFTA_OBJ_TABLE = 1
NFTA_OBJ_NAME = 2
NFTA_OBJ_TYPE = 3
NFTA_OBJ_DATA = 4
NFT_OBJECT_COUNTER = (1).to_bytes(4, "big")
NFTA_COUNTER_BYTES = 1
NFTA_COUNTER_PACKETS = 2
NFTA_EXPR_NAME = 1
NFTA_EXPR_DATA = 2

NFTA_SET_ELEM_EXPR = 7
NFTA_SET_ELEM_EXPRESSIONS = 11

COUNTER = b"counter\0"
NOTHING = Drops(0, 0)


def new_counter(table: str, name: str) -> Message:
    """Create a named counter, or keep the one that is there with what it counted."""
    body = _named(table, name) + attribute(NFTA_OBJ_DATA | NLA_F_NESTED, b"")
    return Message(f"the counter {name}", kind_of(Kind.NEWOBJ), NLM_F_CREATE, body)


def delete_counter(table: str, name: str) -> Message:
    """Remove a counter that no rule uses."""
    return Message(f"the deletion of counter {name}", kind_of(Kind.DELOBJ), 0, _named(table, name))


def read_counter(table: str, name: str) -> Message:
    """Ask for a named counter."""
    return Message(f"the counter {name}", kind_of(Kind.GETOBJ), 0, _named(table, name))


def counted(body: bytes) -> Drops:
    """Return what an answer to `read_counter` tells."""
    return _drops(dict(attributes(body, NFGENMSG.size)).get(NFTA_OBJ_DATA, b""))


def with_counter(packed: bytes, drops: Drops = NOTHING) -> bytes:
    """Give a packed element a counter that has counted this much already."""
    _, kind = ATTRIBUTE.unpack_from(packed)
    values = attribute(NFTA_COUNTER_BYTES, drops.bytes.to_bytes(8, "big"))
    values += attribute(NFTA_COUNTER_PACKETS, drops.packets.to_bytes(8, "big"))
    expression = attribute(NFTA_EXPR_NAME, COUNTER) + attribute(NFTA_EXPR_DATA | NLA_F_NESTED, values)
    return attribute(kind, packed[ATTRIBUTE.size :] + attribute(NFTA_SET_ELEM_EXPR | NLA_F_NESTED, expression))


def read_element(table: str, name: str, key: bytes) -> Message:
    """Ask for one element of a set, with its counter."""
    body = body_of(table, name, element(key, None))
    return Message(f"an element of set {name}", kind_of(Kind.GETSETELEM), 0, body)


def counted_by_element(body: bytes) -> Drops | None:
    """Return what the counter tells that the one element in an answer to `read_element` carries; None: it has none."""
    elements = dict(attributes(body, NFGENMSG.size)).get(NFTA_SET_ELEM_LIST_ELEMENTS, b"")
    for _, told in attributes(elements):
        parts = dict(attributes(told))
        several = [one for _, one in attributes(parts.get(NFTA_SET_ELEM_EXPRESSIONS, b""))]
        for expression in map(dict, map(attributes, [parts.get(NFTA_SET_ELEM_EXPR, b""), *several])):
            if expression.get(NFTA_EXPR_NAME) == COUNTER:
                return _drops(expression.get(NFTA_EXPR_DATA, b""))
    return None


def _named(table: str, name: str) -> bytes:
    return (
        NFGENMSG.pack(NFPROTO_INET, 0, 0)
        + attribute(NFTA_OBJ_TABLE, table.encode() + b"\0")
        + attribute(NFTA_OBJ_NAME, name.encode() + b"\0")
        + attribute(NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER)
    )


def _drops(counter: bytes) -> Drops:
    told = dict(attributes(counter))
    packets, size = (int.from_bytes(told.get(kind, b""), "big") for kind in (NFTA_COUNTER_PACKETS, NFTA_COUNTER_BYTES))
    return Drops(packets, size)
