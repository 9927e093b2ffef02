"""The control plane of nftables: messages that lay out a table, its sets, its chains and its rules.

pyroute2's message classes encode them, for there are few. Source of the attributes and numbers: Linux
include/uapi/linux/netfilter/nf_tables.h."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum, IntFlag
from typing import Protocol, cast

from amiguard.firewalls.netlinkformat import HEADER, NFGENMSG, Message, attributes
from amiguard.firewalls.nftexpressions import FAMILIES, AddressSet, Expression
from amiguard.sparing import ARCHIVES, without, without_init

# It imports every kind of netlink there is; the others come by way of ctypes.util and shutil.
with without_init("pyroute2"), without(*ARCHIVES):
    from pyroute2.netlink.nfnetlink import nftsocket

NFNL_SUBSYS_NFTABLES = 10
NFPROTO_INET = 1
NF_INET_PRE_ROUTING = 0
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800

NFTA_TABLE = 1
"""The attribute that names the table, in whatever is in one."""
NFTA_SET_NAME = 2
NFTA_GEN_ID = 1
NFTA_GEN_PROC_PID = 2
NFTA_GEN_PROC_NAME = 3
NF_ACCEPT = 1

BIG_ENDIAN_KEYS = b"\x00\x04\x02\x00\x00\x00"
"""A set's userdata as nft writes it (NFTNL_UDATA_SET_KEYBYTEORDER = 2): with it, `nft list` prints the keys rightly."""


class Kind(IntEnum):
    """Message types of the nf_tables subsystem."""

    NEWTABLE = 0
    DELTABLE = 2
    NEWCHAIN = 3
    GETCHAIN = 4
    DELCHAIN = 5
    NEWRULE = 6
    GETRULE = 7
    DELRULE = 8
    NEWSET = 9
    GETSET = 10
    DELSET = 11
    NEWSETELEM = 12
    GETSETELEM = 13
    DELSETELEM = 14
    NEWGEN = 15
    GETGEN = 16
    NEWOBJ = 18
    GETOBJ = 19
    DELOBJ = 20


class TableFlag(IntFlag):
    """What a table may be beside a table."""

    DORMANT = 1
    """It holds up no packet."""
    OWNER = 2
    """Only the socket that made it may change it (Linux 5.12)."""
    PERSIST = 4
    """It outlives that socket, and whoever comes next may own it (Linux 6.9)."""


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


def new_table(table: str, flags: int = 0, *, owned: int = 0) -> Message:
    """Create a table, or adopt the one that is there; NLM_F_EXCL in `flags` forbids the latter.

    `owned`: its own flags, see `TableFlag`."""
    attrs = [["NFTA_TABLE_NAME", table], ["NFTA_TABLE_FLAGS", owned]]
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


def delete_set(table: str, name: str) -> Message:
    """Remove a set that no rule looks up; the kernel frees its elements later, behind everybody's back."""
    attrs = [["NFTA_SET_TABLE", table], ["NFTA_SET_NAME", name]]
    return _message(f"the deletion of set {name}", Kind.DELSET, 0, _set(), attrs)


def list_sets(table: str) -> Message:
    """Ask for all sets of a table, to be dumped."""
    return _message(f"the list of sets of table {table}", Kind.GETSET, 0, _set(), [["NFTA_SET_TABLE", table]])


def list_parts(kind: Kind, table: str) -> Message:
    """Ask for all chains, rules, sets or objects of a table, to be dumped; kernels may list those of others too."""
    return _message(f"the list of what is in table {table}", kind, 0, _table(), [["NFTA_TABLE_NAME", table]])


def list_elements(table: str, name: str) -> Message:
    """Ask for all elements of a set, to be dumped."""
    attrs = [["NFTA_SET_TABLE", table], ["NFTA_SET_NAME", name]]
    return _message(f"the list of elements of set {name}", Kind.GETSETELEM, 0, _set(), attrs)


def get_generation() -> Message:
    """Ask which generation of all rules is in force: each transaction begins a new one."""
    return Message("the number of the generation", kind_of(Kind.GETGEN), 0, NFGENMSG.pack(0, 0, 0))


def is_of(table: str, body: bytes) -> bool:
    """Whether an answer or event tells of this table, or of what is in it."""
    names = (payload for kind, payload in attributes(body, NFGENMSG.size) if kind == NFTA_TABLE)
    return body[:1] == bytes([NFPROTO_INET]) and next(names, b"") == table.encode() + b"\0"


def set_name(body: bytes) -> str:
    """Return the name in one answer to `list_sets`; empty where there is none."""
    names = (payload for kind, payload in attributes(body, NFGENMSG.size) if kind == NFTA_SET_NAME)
    return next(names, b"").rstrip(b"\0").decode(errors="replace")


def new_chain(table: str, chain: str, priority: int | None = None) -> Message:
    """Create a chain, or keep the one that is there; with a priority, one that sees every packet on its way in."""
    attrs: list[object] = [["NFTA_CHAIN_TABLE", table], ["NFTA_CHAIN_NAME", chain]]
    if priority is not None:
        hook = [["NFTA_HOOK_HOOKNUM", NF_INET_PRE_ROUTING], ["NFTA_HOOK_PRIORITY", priority]]
        attrs += [
            ["NFTA_CHAIN_HOOK", {"attrs": hook}],
            ["NFTA_CHAIN_POLICY", NF_ACCEPT],
            ["NFTA_CHAIN_TYPE", "filter"],
        ]
    return _message(f"the chain {chain}", Kind.NEWCHAIN, NLM_F_CREATE, _chain(), attrs)


def delete_rules(table: str, chain: str) -> Message:
    """Remove all rules of a chain."""
    attrs = [["NFTA_RULE_TABLE", table], ["NFTA_RULE_CHAIN", chain]]
    return _message(f"the deletion of the rules of chain {chain}", Kind.DELRULE, 0, _rule(), attrs)


def new_rule(table: str, chain: str, what: str, expressions: Sequence[Expression]) -> Message:
    """Append a rule to a chain; `what` names it in errors."""
    attrs = [["NFTA_RULE_TABLE", table], ["NFTA_RULE_CHAIN", chain], ["NFTA_RULE_EXPRESSIONS", expressions]]
    return _message(f"the rule for {what}", Kind.NEWRULE, NLM_F_CREATE | NLM_F_APPEND, _rule(), attrs)


def _message(what: str, kind: Kind, flags: int, encoder: _Encoder, attrs: Sequence[object]) -> Message:
    encoder["nfgen_family"] = NFPROTO_INET
    encoder["attrs"] = attrs
    encoder.encode()
    return Message(what, kind_of(kind), flags, bytes(encoder.data[HEADER.size :]))
