"""The control plane of nftables: messages that lay out a table, its sets, its chain and its rules.

pyroute2's message classes encode them, for there are few. Source of the attributes and numbers: Linux
include/uapi/linux/netfilter/nf_tables.h; the expressions are those that `nft --debug=netlink` prints for such rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol, cast

from pyroute2.netlink.nfnetlink import nftsocket

from amiguard.firewalls.netlink import HEADER, NFGENMSG, Message, attributes

NFNL_SUBSYS_NFTABLES = 10
NFPROTO_INET = 1
NF_INET_PRE_ROUTING = 0
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800

NFTA_SET_NAME = 2
NFT_REG_VERDICT = 0
NFT_REG_1 = 1
NFT_CMP_EQ = 0
NFT_META_NFPROTO = 15
NFT_PAYLOAD_NETWORK_HEADER = 1

BEFORE_RAW = -310
"""Priority of the chain: before raw (-300), conntrack (-200) and DNAT (-100), so that it also ends established flows
and covers what is forwarded to containers."""

BIG_ENDIAN_KEYS = b"\x00\x04\x02\x00\x00\x00"
"""A set's userdata as nft writes it (NFTNL_UDATA_SET_KEYBYTEORDER = 2): with it, `nft list` prints the keys rightly."""


class Kind(IntEnum):
    """Message types of the nf_tables subsystem."""

    NEWTABLE = 0
    DELTABLE = 2
    NEWCHAIN = 3
    NEWRULE = 6
    DELRULE = 8
    NEWSET = 9
    GETSET = 10
    NEWSETELEM = 12
    DELSETELEM = 14


class Verdict(IntEnum):
    """What a rule does with a packet."""

    DROP = 0
    ACCEPT = 1


class Family(NamedTuple):
    """Where one address family keeps the source address, and how nft calls the type of it."""

    nfproto: int
    datatype: int
    length: int
    offset: int


FAMILIES = {
    4: Family(nfproto=2, datatype=7, length=4, offset=12),
    6: Family(nfproto=10, datatype=8, length=16, offset=8),
}
"""By IP version."""


class AddressSet(NamedTuple):
    """A set of source addresses of an IP version, or of networks that all have the prefix length `prefix`."""

    name: str
    version: int
    prefix: int | None = None


class _Encoder(Protocol):
    data: bytearray

    def __setitem__(self, field: str, value: object) -> None: ...
    def encode(self) -> None: ...


# pyroute2 carries no types
_table = cast("Callable[[], _Encoder]", nftsocket.nft_table_msg)
_set = cast("Callable[[], _Encoder]", nftsocket.nft_set_msg)
_chain = cast("Callable[[], _Encoder]", nftsocket.nft_chain_msg)
_rule = cast("Callable[[], _Encoder]", nftsocket.nft_rule_msg)


def kind_of(kind: Kind) -> int:
    """Return the netlink message type of an nf_tables message."""
    return NFNL_SUBSYS_NFTABLES << 8 | kind


def new_table(table: str, flags: int = 0) -> Message:
    """Create a table, or adopt the one that is there; NLM_F_EXCL in `flags` forbids the latter."""
    attrs = [["NFTA_TABLE_NAME", table], ["NFTA_TABLE_FLAGS", 0]]
    return _message(f"the table {table}", Kind.NEWTABLE, NLM_F_CREATE | flags, _table(), attrs)


def delete_table(table: str) -> Message:
    """Remove a table and all that is in it."""
    return _message(f"the deletion of table {table}", Kind.DELTABLE, 0, _table(), [["NFTA_TABLE_NAME", table]])


def new_set(table: str, addresses: AddressSet, flags: set[str]) -> Message:
    """Create a set, or keep the one that is there with its elements."""
    family = FAMILIES[addresses.version]
    attrs = [
        ["NFTA_SET_TABLE", table],
        ["NFTA_SET_NAME", addresses.name],
        ["NFTA_SET_FLAGS", flags],
        ["NFTA_SET_KEY_TYPE", family.datatype],
        ["NFTA_SET_KEY_LEN", family.length],
        ["NFTA_SET_ID", 1],
        ["NFTA_SET_USERDATA", BIG_ENDIAN_KEYS],
    ]
    return _message(f"the set {addresses.name}", Kind.NEWSET, NLM_F_CREATE, _set(), attrs)


def list_sets(table: str) -> Message:
    """Ask for all sets of a table, to be dumped."""
    return _message(f"the list of sets of table {table}", Kind.GETSET, 0, _set(), [["NFTA_SET_TABLE", table]])


def set_name(body: bytes) -> str:
    """Return the name in one answer to `list_sets`; empty where there is none."""
    names = (payload for kind, payload in attributes(body, NFGENMSG.size) if kind == NFTA_SET_NAME)
    return next(names, b"").rstrip(b"\0").decode(errors="replace")


def new_chain(table: str, chain: str) -> Message:
    """Create the base chain that sees every packet on its way in, or keep the one that is there."""
    hook = [["NFTA_HOOK_HOOKNUM", NF_INET_PRE_ROUTING], ["NFTA_HOOK_PRIORITY", BEFORE_RAW]]
    attrs = [
        ["NFTA_CHAIN_TABLE", table],
        ["NFTA_CHAIN_NAME", chain],
        ["NFTA_CHAIN_HOOK", {"attrs": hook}],
        ["NFTA_CHAIN_POLICY", Verdict.ACCEPT],
        ["NFTA_CHAIN_TYPE", "filter"],
    ]
    return _message(f"the chain {chain}", Kind.NEWCHAIN, NLM_F_CREATE, _chain(), attrs)


def delete_rules(table: str, chain: str) -> Message:
    """Remove all rules of a chain."""
    attrs = [["NFTA_RULE_TABLE", table], ["NFTA_RULE_CHAIN", chain]]
    return _message(f"the deletion of the rules of chain {chain}", Kind.DELRULE, 0, _rule(), attrs)


def source_rule(table: str, chain: str, addresses: AddressSet, verdict: Verdict) -> Message:
    """Append: `ip saddr [& mask] @set [counter] verdict`; drops are counted."""
    family = FAMILIES[addresses.version]
    expressions = [
        _expression("meta", key=NFT_META_NFPROTO, dreg=NFT_REG_1),
        _expression("cmp", sreg=NFT_REG_1, op=NFT_CMP_EQ, data=_value(bytes([family.nfproto]))),
        _expression(
            "payload", dreg=NFT_REG_1, base=NFT_PAYLOAD_NETWORK_HEADER, offset=family.offset, len=family.length
        ),
    ]
    if addresses.prefix is not None:
        mask = _value(_mask(addresses.prefix, family.length))
        nothing = _value(bytes(family.length))
        expressions.append(
            _expression("bitwise", sreg=NFT_REG_1, dreg=NFT_REG_1, len=family.length, mask=mask, xor=nothing)
        )
    expressions.append(_expression("lookup", set=addresses.name, sreg=NFT_REG_1))
    if verdict is Verdict.DROP:
        expressions.append(_expression("counter"))
    data = {"attrs": [("NFTA_DATA_VERDICT", {"attrs": [("NFTA_VERDICT_CODE", int(verdict))]})]}
    expressions.append(_expression("immediate", dreg=NFT_REG_VERDICT, data=data))
    attrs = [["NFTA_RULE_TABLE", table], ["NFTA_RULE_CHAIN", chain], ["NFTA_RULE_EXPRESSIONS", expressions]]
    return _message(f"the rule for set {addresses.name}", Kind.NEWRULE, NLM_F_CREATE | NLM_F_APPEND, _rule(), attrs)


def _mask(prefix: int, length: int) -> bytes:
    bits = length * 8
    return ((1 << bits) - (1 << bits - prefix)).to_bytes(length, "big")


def _value(data: bytes) -> dict[str, object]:
    return {"attrs": [("NFTA_DATA_VALUE", data)]}


def _expression(name: str, /, **attrs: object) -> dict[str, object]:
    data = [(f"NFTA_{name.upper()}_{key.upper()}", value) for key, value in attrs.items()]
    return {"attrs": [("NFTA_EXPR_NAME", name), ("NFTA_EXPR_DATA", {"attrs": data})]}


def _message(what: str, kind: Kind, flags: int, encoder: _Encoder, attrs: Sequence[object]) -> Message:
    encoder["nfgen_family"] = NFPROTO_INET
    encoder["attrs"] = attrs
    encoder.encode()
    return Message(what, kind_of(kind), flags, bytes(encoder.data[HEADER.size :]))
