"""Ends conversations in the kernel's connection tracking that this server was made to begin.

A ban that spares the answers to this server's own conversations would spare those too that the banned one had it begin:
Asterisk answers to whatever port a Via header names, and such an answer that no conversation expects begins one. So the
entries of UDP that lead from here to the banned address are deleted; a true conversation begins anew with the next
packet that this server sends.

Entries that the banned one began are left in place on purpose. What he sends in them is no answer and is dropped, and
as long as they live they take up what this server still has to say to him: without them a SIP response or TCP segment
that it repeats would begin a conversation, in which he might answer (tests/netns/test_strengths.py).

The table is read and searched here, although the kernel could delete by a filter (CTA_FILTER, Linux 6.10): for IPv6
that filter is inverted, at least up to 6.18, and deletes everybody else's entries. It is read in a thread: the kernel
walks over 262,144 buckets in one system call, 3 ms even where the table is empty, in which no event would be read.

Source: Linux net/netfilter/nf_conntrack_netlink.c and include/uapi/linux/netfilter/nfnetlink_conntrack.h."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from errno import EINVAL, ENOENT

from amiguard.errors import FirewallError
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import NFGENMSG, NLA_F_NESTED, Message, attribute, attributes
from amiguard.model import Network, Target, network_of

NFNL_SUBSYS_CTNETLINK = 1
GET = NFNL_SUBSYS_CTNETLINK << 8 | 1
DELETE = NFNL_SUBSYS_CTNETLINK << 8 | 2

CTA_TUPLE_ORIG = 1
CTA_TUPLE_REPLY = 2
CTA_ID = 12
CTA_ZONE = 18
CTA_TUPLE_IP = 1
CTA_TUPLE_PROTO = 2
CTA_IP_SRC = {4: 1, 6: 3}
CTA_PROTO_NUM = 1

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
UDP = bytes([socket.IPPROTO_UDP])
AT_ONCE = 100
"""Deletions in one request: their acknowledgements must fit into the receive buffer."""


class Conntrack:
    """The kernel's connection tracking. Needs CAP_NET_ADMIN."""

    def __init__(self) -> None:
        self._netlink = Netlink(NFNL_SUBSYS_CTNETLINK, aside=True)

    async def end(self, targets: Collection[Target]) -> None:
        """Delete the entries of UDP that lead from here to these targets. Takes some 2 µs an entry in the table.

        Raises:
            FirewallError: the kernel refused, or can't list its connections.
        """
        networks = [network_of(target) for target in targets]
        for version in {network.version for network in networks}:
            search = _Search(version, [network for network in networks if network.version == version])
            listing = Message("the list of connections", GET, 0, NFGENMSG.pack(FAMILY[version], 0, 0))
            try:
                found = await self._netlink.dump(listing, search)
            except Refused as refused:
                if refused.errno == EINVAL:
                    raise FirewallError(f"this kernel has no nf_conntrack_netlink: {refused}", EINVAL) from refused
                raise
            for begin in range(0, len(found), AT_ONCE):
                await self._delete(found[begin : begin + AT_ONCE])

    async def close(self) -> None:
        """Free the socket."""
        await self._netlink.close()

    async def _delete(self, found: Collection[bytes]) -> None:
        for outcome in await self._netlink.ask([_deletion(body) for body in found]):
            if isinstance(outcome, Refused) and outcome.errno != ENOENT:  # ENOENT: it ended meanwhile
                raise outcome


class _Search:
    """Tells whether a listed entry is of UDP and leads from here into one of these networks.

    Its packets of the other direction come from there: a destination may have been translated."""

    def __init__(self, version: int, networks: Collection[Network]) -> None:
        self._source = CTA_IP_SRC[version]
        starts = {one.network_address.packed[: one.prefixlen // 8] for one in networks}
        self._may_lead_there = re.compile(b"|".join(map(re.escape, starts)), re.DOTALL).search
        """Finds nothing in an entry that holds no address of these networks: most are done with it."""
        self._addresses = {one.network_address.packed for one in networks if one.prefixlen == one.max_prefixlen}
        self._networks = [one for one in networks if one.prefixlen < one.max_prefixlen]

    def __call__(self, body: bytes) -> bool:
        if not self._may_lead_there(body):
            return False
        reply = dict(attributes(dict(attributes(body, NFGENMSG.size)).get(CTA_TUPLE_REPLY, b"")))
        source = dict(attributes(reply.get(CTA_TUPLE_IP, b""))).get(self._source, b"")
        protocol = dict(attributes(reply.get(CTA_TUPLE_PROTO, b""))).get(CTA_PROTO_NUM)
        if not source or protocol != UDP:
            return False
        if source in self._addresses:
            return True
        return bool(self._networks) and any(ipaddress.ip_address(source) in network for network in self._networks)


def _deletion(body: bytes) -> Message:
    """Have one listed entry deleted, and no later one of the same addresses and ports."""
    told = dict(attributes(body, NFGENMSG.size))
    kinds = (CTA_TUPLE_ORIG | NLA_F_NESTED, CTA_ID, CTA_ZONE)
    parts = [attribute(kind, told[kind & ~NLA_F_NESTED]) for kind in kinds if kind & ~NLA_F_NESTED in told]
    return Message("to end a connection", DELETE, 0, body[: NFGENMSG.size] + b"".join(parts))
