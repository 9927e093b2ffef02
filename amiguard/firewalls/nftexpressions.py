"""What nftables' rules are made of: each function returns the expressions of one match or one statement.

They are those that `nft --debug=netlink` prints for such rules. Source of the numbers: Linux
include/uapi/linux/netfilter/nf_tables.h and nf_conntrack_common.h."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from amiguard.model import PortRange

Expression = dict[str, object]
"""In the form that pyroute2's encoder takes."""

NFT_REG_VERDICT = 0
NFT_REG_1 = 1
NFT_CMP_EQ = 0
NFT_CMP_NEQ = 1
NFT_CMP_LTE = 3
NFT_CMP_GTE = 5
NFT_META_NFPROTO = 15
NFT_META_L4PROTO = 16
NFT_PAYLOAD_NETWORK_HEADER = 1
NFT_PAYLOAD_TRANSPORT_HEADER = 2
NFT_CT_STATE = 0
NFT_CT_DIRECTION = 1
NFT_OBJECT_COUNTER = 1
NFT_REJECT_TCP_RST = 1
NFT_REJECT_ICMPX_UNREACH = 2
NFT_REJECT_ICMPX_PORT_UNREACH = 1

IP_CT_DIR_REPLY = b"\x01"
ESTABLISHED_OR_RELATED = struct.pack("=I", 1 << 1 | 1 << 2)
"""NF_CT_STATE_BIT of IP_CT_ESTABLISHED and IP_CT_RELATED."""

NF_DROP, NF_ACCEPT, NFT_JUMP, NFT_GOTO = 0, 1, -3, -4

PROTOCOLS = {
    "tcp": bytes([socket.IPPROTO_TCP]),
    "udp": bytes([socket.IPPROTO_UDP]),
    "icmpv6": bytes([socket.IPPROTO_ICMPV6]),
}
ND_NEIGHBOR_SOLICIT, ND_NEIGHBOR_ADVERT = 135, 136
DESTINATION_PORT = 2
"""Where TCP and UDP keep the destination port, two bytes long."""


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


def source_in(addresses: AddressSet) -> list[Expression]:
    """`ip saddr [& mask] @set`."""
    family = FAMILIES[addresses.version]
    where = {"base": NFT_PAYLOAD_NETWORK_HEADER, "offset": family.offset, "len": family.length}
    expressions = [*of_family(addresses.version), _expression("payload", dreg=NFT_REG_1, **where)]
    if addresses.prefix is not None:
        expressions.append(_masked(_mask(addresses.prefix, family.length)))
    return [*expressions, _expression("lookup", set=addresses.name, sreg=NFT_REG_1)]


def of_family(version: int) -> list[Expression]:
    """`meta nfproto ipv4`."""
    nfproto = bytes([FAMILIES[version].nfproto])
    return [_expression("meta", key=NFT_META_NFPROTO, dreg=NFT_REG_1), _compare(NFT_CMP_EQ, nfproto)]


def to_ports(ports: PortRange) -> list[Expression]:
    """`udp dport 5060` or `tcp dport 5060-5061`."""
    where = {"base": NFT_PAYLOAD_TRANSPORT_HEADER, "offset": DESTINATION_PORT, "len": 2}
    first, last = (port.to_bytes(2, "big") for port in (ports.first, ports.last))
    one = ports.first == ports.last
    return [
        *of_protocol(ports.protocol),
        _expression("payload", dreg=NFT_REG_1, **where),
        *([_compare(NFT_CMP_EQ, first)] if one else [_compare(NFT_CMP_GTE, first), _compare(NFT_CMP_LTE, last)]),
    ]


def of_protocol(protocol: str) -> list[Expression]:
    """`meta l4proto tcp`."""
    return [_expression("meta", key=NFT_META_L4PROTO, dreg=NFT_REG_1), _compare(NFT_CMP_EQ, PROTOCOLS[protocol])]


def neighbour_discovery() -> list[Expression]:
    """`icmpv6 type nd-neighbor-solicit-nd-neighbor-advert`: what ARP is to IPv4, and no ruleset of `inet` sees."""
    first, last = (bytes([kind]) for kind in (ND_NEIGHBOR_SOLICIT, ND_NEIGHBOR_ADVERT))
    return [
        *of_protocol("icmpv6"),
        _expression("payload", dreg=NFT_REG_1, base=NFT_PAYLOAD_TRANSPORT_HEADER, offset=0, len=1),
        _compare(NFT_CMP_GTE, first),
        _compare(NFT_CMP_LTE, last),
    ]


def answer() -> list[Expression]:
    """`ct direction reply ct state established,related`: somebody answers what was asked from here."""
    return [
        _expression("ct", key=NFT_CT_DIRECTION, dreg=NFT_REG_1),
        _compare(NFT_CMP_EQ, IP_CT_DIR_REPLY),
        _expression("ct", key=NFT_CT_STATE, dreg=NFT_REG_1),
        _masked(ESTABLISHED_OR_RELATED),
        _compare(NFT_CMP_NEQ, bytes(4)),
    ]


def count(counter: str) -> list[Expression]:
    """`counter name ...`."""
    return [_expression("objref", imm_type=NFT_OBJECT_COUNTER, imm_name=counter)]


def accept() -> list[Expression]:
    """`accept`."""
    return _verdict(NF_ACCEPT)


def drop() -> list[Expression]:
    """`drop`."""
    return _verdict(NF_DROP)


def jump(chain: str) -> list[Expression]:
    """`jump chain`."""
    return _verdict(NFT_JUMP, chain)


def goto(chain: str) -> list[Expression]:
    """`goto chain`."""
    return _verdict(NFT_GOTO, chain)


def reset() -> list[Expression]:
    """`reject with tcp reset`."""
    return [_expression("reject", type=NFT_REJECT_TCP_RST, icmp_code=0)]


def reject() -> list[Expression]:
    """`reject`: ICMP tells of an unreachable port."""
    return [_expression("reject", type=NFT_REJECT_ICMPX_UNREACH, icmp_code=NFT_REJECT_ICMPX_PORT_UNREACH)]


def _verdict(code: int, chain: str = "") -> list[Expression]:
    attrs: list[tuple[str, object]] = [("NFTA_VERDICT_CODE", code)]
    if chain:
        attrs.append(("NFTA_VERDICT_CHAIN", chain))
    data = {"attrs": [("NFTA_DATA_VERDICT", {"attrs": attrs})]}
    return [_expression("immediate", dreg=NFT_REG_VERDICT, data=data)]


def _compare(operator: int, data: bytes) -> Expression:
    return _expression("cmp", sreg=NFT_REG_1, op=operator, data=_value(data))


def _masked(mask: bytes) -> Expression:
    length = len(mask)
    return _expression(
        "bitwise", sreg=NFT_REG_1, dreg=NFT_REG_1, len=length, mask=_value(mask), xor=_value(bytes(length))
    )


def _mask(prefix: int, length: int) -> bytes:
    bits = length * 8
    return ((1 << bits) - (1 << bits - prefix)).to_bytes(length, "big")


def _value(data: bytes) -> dict[str, object]:
    return {"attrs": [("NFTA_DATA_VALUE", data)]}


def _expression(name: str, /, **attrs: object) -> Expression:
    data = [(f"NFTA_{name.upper()}_{key.upper()}", value) for key, value in attrs.items()]
    return {"attrs": [("NFTA_EXPR_NAME", name), ("NFTA_EXPR_DATA", {"attrs": data})]}
