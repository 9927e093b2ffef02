"""Rules as iptables-nft keeps them in nf_tables, packed by hand: matches of xtables, a counter and a verdict. Pure.

`iptables-nft -S` shows them and `-D` deletes them. Source: Linux include/uapi/linux/netfilter/nf_tables.h,
nf_tables_compat.h, xt_set.h, xt_conntrack.h and xt_tcpudp.h."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from amiguard.firewalls.ipset.chains import Table
from amiguard.firewalls.netlinkformat import NFGENMSG, NLA_F_NESTED, Message, attribute, attributes
from amiguard.firewalls.nftmessages import NLM_F_APPEND, NLM_F_CREATE, Kind, kind_of
from amiguard.model import Drops, PortRange

NFPROTO = {4: 2, 6: 10}
"""By IP version."""
NF_DROP, NFT_JUMP, NFT_RETURN = 0, -3, -5

NFTA_TABLE_NAME = 1
NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, NFTA_CHAIN_HOOK, NFTA_CHAIN_TYPE = 1, 3, 4, 7
NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY = 1, 2
NFTA_RULE_TABLE, NFTA_RULE_CHAIN, NFTA_RULE_HANDLE, NFTA_RULE_EXPRESSIONS, NFTA_RULE_COMPAT = 1, 2, 3, 4, 5
NFTA_RULE_COMPAT_PROTO, NFTA_RULE_COMPAT_FLAGS = 1, 2
NFTA_LIST_ELEM = 1
NFTA_EXPR_NAME, NFTA_EXPR_DATA = 1, 2
NFTA_MATCH_NAME, NFTA_MATCH_REV, NFTA_MATCH_INFO = 1, 2, 3
"""The same for targets."""
NFTA_IMMEDIATE_DREG, NFTA_IMMEDIATE_DATA = 1, 2
NFTA_DATA_VALUE, NFTA_DATA_VERDICT = 1, 2
NFTA_VERDICT_CODE, NFTA_VERDICT_CHAIN = 1, 2
NFTA_META_DREG, NFTA_META_KEY = 1, 2
NFTA_CMP_SREG, NFTA_CMP_OP, NFTA_CMP_DATA = 1, 2, 3
NFTA_COUNTER_BYTES, NFTA_COUNTER_PACKETS = 1, 2
NFT_META_L4PROTO = 16
NFT_REG_1 = 1

IPSET_DIM_ONE_SRC = 2
XT_CONNTRACK_STATE, XT_CONNTRACK_DIRECTION = 1, 1 << 12
XT_CONNTRACK_ORIGDST_PORT, XT_CONNTRACK_REPLDST_PORT = 1 << 9, 1 << 11
ESTABLISHED_OR_RELATED = 1 << 1 | 1 << 2
INVALID_OR_UNTRACKED = 1 << 0 | 1 << 8
REJECTIONS = {("reject", 4): 3, ("reject", 6): 4, ("reset", 4): 7, ("reset", 6): 6}
"""Port unreachable and TCP reset, by IP version (enum ipt_reject_with, ip6t_reject_with)."""
IPPROTO = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "icmpv6": socket.IPPROTO_ICMPV6}

NOTHING = Drops(0, 0)

HOOKS = {"PREROUTING": 0, "INPUT": 1, "FORWARD": 2}


class Rule(NamedTuple):
    """A rule: its expressions, and the protocol that one of its matches insists on (0: none does)."""

    expressions: Sequence[bytes]
    protocol: int = 0


def new_table(table: Table) -> Message:
    """Create a table, or keep the one that is there."""
    return _message(f"the table {table.name}", Kind.NEWTABLE, NLM_F_CREATE, table, _text(NFTA_TABLE_NAME, table.name))


def new_chain(table: Table, chain: str) -> Message:
    """Create a chain, or keep the one that is there; one of iptables' own sees packets, and keeps its policy."""
    body = _text(NFTA_CHAIN_TABLE, table.name) + _text(NFTA_CHAIN_NAME, chain)
    if chain in HOOKS:
        hook = _number(NFTA_HOOK_HOOKNUM, HOOKS[chain]) + _number(NFTA_HOOK_PRIORITY, table.priority)
        body += _nest(NFTA_CHAIN_HOOK, hook) + _text(NFTA_CHAIN_TYPE, "filter")
    return _message(f"the chain {chain}", Kind.NEWCHAIN, NLM_F_CREATE, table, body)


def delete_chain(table: Table, chain: str) -> Message:
    """Remove a chain that no rule leads to."""
    body = _text(NFTA_CHAIN_TABLE, table.name) + _text(NFTA_CHAIN_NAME, chain)
    return _message(f"the removal of chain {chain}", Kind.DELCHAIN, 0, table, body)


def delete_rules(table: Table, chain: str, handle: bytes = b"") -> Message:
    """Remove all rules of a chain, or the one that a dump named by `handle`."""
    one = attribute(NFTA_RULE_HANDLE, handle) if handle else b""
    body = _text(NFTA_RULE_TABLE, table.name) + _text(NFTA_RULE_CHAIN, chain) + one
    return _message(f"the removal of rules of chain {chain}", Kind.DELRULE, 0, table, body)


def new_rule(table: Table, chain: str, rule: Rule, *, first: bool = False) -> Message:
    """Append a rule to a chain, or put it before all others."""
    body = _text(NFTA_RULE_TABLE, table.name) + _text(NFTA_RULE_CHAIN, chain)
    body += _nest(NFTA_RULE_EXPRESSIONS, b"".join(_nest(NFTA_LIST_ELEM, one) for one in rule.expressions))
    if rule.protocol:
        compat = _number(NFTA_RULE_COMPAT_PROTO, rule.protocol) + _number(NFTA_RULE_COMPAT_FLAGS, 0)
        body += _nest(NFTA_RULE_COMPAT, compat)
    flags = NLM_F_CREATE if first else NLM_F_CREATE | NLM_F_APPEND
    return _message(f"a rule of chain {chain}", Kind.NEWRULE, flags, table, body)


def list_rules(table: Table, chain: str) -> Message:
    """Ask for the rules of a chain, to be dumped."""
    body = _text(NFTA_RULE_TABLE, table.name) + _text(NFTA_RULE_CHAIN, chain)
    return _message(f"the list of rules of chain {chain}", Kind.GETRULE, 0, table, body)


# -- what rules consist of --------------------------------------------------------------------------------------------


def source_in(index: int) -> bytes:
    """`-m set --match-set NAME src`, the set by its number: struct xt_set_info_match_v4."""
    return _match("set", 4, struct.pack("=HBB4xQB7xQB7xI4x", index, 1, IPSET_DIM_ONE_SRC, 0, 0, 0, 0, 0))


def answer() -> bytes:
    """`-m conntrack --ctstate ESTABLISHED,RELATED --ctdir REPLY`.

    The direction is the original one, inverted."""
    flags = XT_CONNTRACK_STATE | XT_CONNTRACK_DIRECTION
    return _conntrack(flags, inverted=XT_CONNTRACK_DIRECTION, states=ESTABLISHED_OR_RELATED)


def _conntrack(flags: int, *, inverted: int = 0, states: int = 0, first: int = 0, last: int = 0) -> bytes:
    """Pack struct xt_conntrack_mtinfo3. The ports stand in all four places, and `flags` says which count."""
    ports, highest = [0, first, 0, first], [0, last, 0, last]
    return _match("conntrack", 3, struct.pack("=138x4HHHHH4H6x", *ports, flags, inverted, states, 0, *highest))


def to_named_ports(ports: PortRange) -> list[list[bytes]]:
    """Return matches of which one holds where the sender named these ports, also behind DNAT.

    `-m conntrack --ctdir ORIGINAL --ctorigdstport FIRST:LAST`, `--ctdir REPLY --ctrepldstport FIRST:LAST`, and of what
    is not tracked, and so was not translated, `--ctstate INVALID,UNTRACKED` and `--dport FIRST:LAST`."""
    named = _of_protocol(IPPROTO[ports.protocol])
    original = _conntrack(XT_CONNTRACK_DIRECTION | XT_CONNTRACK_ORIGDST_PORT, first=ports.first, last=ports.last)
    reply = _conntrack(
        XT_CONNTRACK_DIRECTION | XT_CONNTRACK_REPLDST_PORT,
        inverted=XT_CONNTRACK_DIRECTION,
        first=ports.first,
        last=ports.last,
    )
    untracked = _conntrack(XT_CONNTRACK_STATE, states=INVALID_OR_UNTRACKED)
    return [[*named, original], [*named, reply], [*to_ports(ports), untracked]]


def to_ports(ports: PortRange) -> list[bytes]:
    """`-p udp -m udp --dport 5060:5061`: struct xt_udp or xt_tcp, which end in flags that invert nothing."""
    info = struct.pack("=HHHH8x", 0, 0xFFFF, ports.first, ports.last)
    return [*_of_protocol(IPPROTO[ports.protocol]), _match(ports.protocol, 0, info)]


def of_icmp6(kind: int) -> list[bytes]:
    """`-p ipv6-icmp -m icmp6 --icmpv6-type KIND`, with any code: struct ip6t_icmp."""
    return [*_of_protocol(IPPROTO["icmpv6"]), _match("icmp6", 0, struct.pack("=BBB5x", kind, 0, 0xFF))]


def verdict(code: int, chain: str = "", counted: Drops = NOTHING) -> list[bytes]:
    """Return a counter that has counted this much already, and what becomes of the packet."""
    told = _number(NFTA_VERDICT_CODE, code) + (_text(NFTA_VERDICT_CHAIN, chain) if chain else b"")
    data = _nest(NFTA_IMMEDIATE_DATA, _nest(NFTA_DATA_VERDICT, told))
    return [_counter(counted), _expression("immediate", _number(NFTA_IMMEDIATE_DREG, 0) + data)]


def rejection(version: int, ruling: str, counted: Drops = NOTHING) -> list[bytes]:
    """`-j REJECT`, or `-p tcp -j REJECT --reject-with tcp-reset`: struct ipt_reject_info, ip6t_reject_info."""
    info = struct.pack("=I4x", REJECTIONS[ruling, version])
    protocol = _of_protocol(IPPROTO["tcp"]) if ruling == "reset" else []
    return [*protocol, _counter(counted), _extension("target", "REJECT", 0, info)]


def _counter(counted: Drops) -> bytes:
    packed = _big(NFTA_COUNTER_BYTES, counted.bytes) + _big(NFTA_COUNTER_PACKETS, counted.packets)
    return _expression("counter", packed)


# -- what a dump tells ------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """A rule of a dump: its handle, whether it refuses packets, the chain that it leads to, what it counted, and the
    number of the set that it looks up."""

    handle: bytes
    refuses: bool
    chain: str
    counted: Drops
    set: int | None = None


def found(body: bytes) -> Found:
    """Read one answer to `list_rules`."""
    told = dict(attributes(body, NFGENMSG.size))
    refuses, chain, counted, looked_up = False, "", NOTHING, None
    for name, data in _expressions(told.get(NFTA_RULE_EXPRESSIONS, b"")):
        if name == b"counter\0":
            parts = dict(attributes(data))
            packets, size = (
                int.from_bytes(parts.get(kind, b""), "big") for kind in (NFTA_COUNTER_PACKETS, NFTA_COUNTER_BYTES)
            )
            counted = Drops(packets, size)
        elif name == b"immediate\0":
            ruled = dict(attributes(data)).get(NFTA_IMMEDIATE_DATA, b"")
            parts = dict(attributes(dict(attributes(ruled)).get(NFTA_DATA_VERDICT, b"")))
            refuses = int.from_bytes(parts.get(NFTA_VERDICT_CODE, b"?"), "big", signed=True) == NF_DROP
            chain = parts.get(NFTA_VERDICT_CHAIN, b"").rstrip(b"\0").decode(errors="replace")
        elif name == b"target\0":
            refuses = True
        elif name == b"match\0":
            parts = dict(attributes(data))
            if parts.get(NFTA_MATCH_NAME) == b"set\0":
                (looked_up,) = _SET_INDEX.unpack_from(parts[NFTA_MATCH_INFO])
    return Found(told.get(NFTA_RULE_HANDLE, b""), refuses, chain, counted, looked_up)


_SET_INDEX = struct.Struct("=H")


def _expressions(packed: bytes) -> Iterator[tuple[bytes, bytes]]:
    for _, one in attributes(packed):
        parts = dict(attributes(one))
        yield parts.get(NFTA_EXPR_NAME, b""), parts.get(NFTA_EXPR_DATA, b"")


def _of_protocol(number: int) -> list[bytes]:
    compared = _nest(NFTA_CMP_DATA, attribute(NFTA_DATA_VALUE, bytes([number])))
    return [
        _expression("meta", _number(NFTA_META_KEY, NFT_META_L4PROTO) + _number(NFTA_META_DREG, NFT_REG_1)),
        _expression("cmp", _number(NFTA_CMP_SREG, NFT_REG_1) + _number(NFTA_CMP_OP, 0) + compared),
    ]


def _match(name: str, revision: int, info: bytes) -> bytes:
    return _extension("match", name, revision, info)


def _extension(kind: str, name: str, revision: int, info: bytes) -> bytes:
    data = _text(NFTA_MATCH_NAME, name) + _number(NFTA_MATCH_REV, revision) + attribute(NFTA_MATCH_INFO, info)
    return _expression(kind, data)


def _expression(name: str, data: bytes) -> bytes:
    return _text(NFTA_EXPR_NAME, name) + _nest(NFTA_EXPR_DATA, data)


def _text(kind: int, text: str) -> bytes:
    return attribute(kind, text.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">i", value))


def _big(kind: int, value: int) -> bytes:
    return attribute(kind, value.to_bytes(8, "big"))


def _nest(kind: int, payload: bytes) -> bytes:
    return attribute(kind | NLA_F_NESTED, payload)


def _message(what: str, kind: Kind, flags: int, table: Table, body: bytes) -> Message:
    return Message(f"{what} of iptables", kind_of(kind), flags, NFGENMSG.pack(NFPROTO[table.version], 0, 0) + body)
