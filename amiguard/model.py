"""The values that every part of amiguard speaks in. Plain, immutable, without clock, socket or log."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import NamedTuple, NewType

from amiguard.errors import InvalidAddress

Target = NewType("Target", str)
"""What a ban names: one address, or a network in CIDR notation; always in canonical text."""

Address = NewType("Address", Target)
"""One IPv4 or IPv6 address in canonical text: IPv4-mapped IPv6 is folded to IPv4, and no zone.

Text and not `ipaddress` objects, because it is the key of every table on the event path: a `str` hashes and compares in
C, ten times faster."""

Timestamp = int
"""Milliseconds since 1970-01-01T00:00:00Z."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
MAPPED_PREFIX = 96


class Evidence(StrEnum):
    """How far the source address of a failure is proven."""

    CONNECTED = "connected"
    """TCP, TLS, WS or WSS: the handshake reached this address."""
    DATAGRAM = "datagram"
    """One UDP packet suffices, or the sender chose the address that Asterisk reports: it may be forged."""


class Reason(StrEnum):
    """Why an attempt failed, in the words of an operator."""

    WRONG_PASSWORD = "wrong-password"  # noqa: S105 -- the name of a reason, not a password
    UNKNOWN_ACCOUNT = "unknown-account"
    ACL = "acl"
    BAD_REQUEST = "bad-request"
    NOT_ALLOWED = "not-allowed"
    INJECTION = "injection"
    SCAN = "scan"
    """Many names were tried, or challenges left unanswered, and nobody from there ever logged in."""
    NETWORK = "network"
    """Many addresses of one network were offenders."""
    MANUAL = "manual"
    KERNEL = "kernel"
    """Nobody remembers: the ban was found in the kernel."""


class Origin(StrEnum):
    """Who decided a ban."""

    LOCAL = "local"
    MANUAL = "manual"
    FLEET = "fleet"
    """Another node of the fleet; `Ban.node` names it."""
    KERNEL = "kernel"
    """Nobody remembers: the ban was found in the kernel (`adoption.py`)."""


class AllowOrigin(StrEnum):
    """Who says that a target is never banned."""

    SETTINGS = "settings"
    SELF = "self"
    """This host, or something that it needs: its own addresses, gateways, resolvers, the servers it talks to."""
    NAME = "name"
    """An address that a DNS name of the settings stands for just now."""
    RUNTIME = "runtime"
    """An administrator, while amiguard runs."""
    FLEET = "fleet"
    """An administrator of another node of the fleet; `Allowed.node` names it."""
    LEARNED = "learned"
    """A phone that has logged in, or a trunk; it is spared some bans, not all (`presence.py`)."""


class Allowed(NamedTuple):
    """A target that is never banned. `comment` is the administrator's, or what it is: a name, `gateway`, an account.

    `until` None is for as long as its origin says so."""

    target: Target
    origin: AllowOrigin
    comment: str = ""
    until: Timestamp | None = None
    node: str = ""
    """Which node of the fleet told of it; empty = this one."""


class Phone(NamedTuple):
    """An account that proved to be at an address, and until when that is believed; 0 = not any more."""

    address: Address
    account: str
    until: Timestamp


class Failure(NamedTuple):
    """One failed attempt. A tuple, because a flood makes thousands of them a second."""

    address: Address
    at: Timestamp
    reason: Reason
    weight: int
    """How many attempts it counts for; `IMMEDIATE` bans at once."""
    evidence: Evidence
    code: str
    """Asterisk's name of the event, such as `ChallengeResponseFailed`."""
    service: str
    """Asterisk's name of the service: `PJSIP`, `SIP`, `AMI`, ..."""
    transport: str
    """`UDP`, `TCP`, `TLS`, `WS`, `WSS`; empty where Asterisk names none."""
    port: int
    account: str
    """The account tried: the attacker's text, at most 256 characters."""
    session: str
    """Asterisk's SessionID, for SIP the Call-ID: the attacker's text, at most 256 characters."""
    source: str
    """Which witness told of it: `ami`, `log` or `security-log`, with a number where it is a further log."""


IMMEDIATE = 1_000_000
"""A weight that no maxretry exceeds."""


class Ban(NamedTuple):
    """A target that may not reach this server.

    `since` and `until` are Timestamps; `until` None is a permanent ban. `earlier` is how often this target was banned
    before. `accounts` are the names it tried, attacker text, the first ten."""

    target: Target
    since: Timestamp
    until: Timestamp | None
    reason: Reason
    origin: Origin = Origin.LOCAL
    evidence: Evidence | None = None
    failures: int = 0
    earlier: int = 0
    accounts: tuple[str, ...] = ()
    service: str = ""
    transport: str = ""
    source: str = ""
    comment: str = ""
    """What the administrator gave as the reason of a manual ban."""
    absolute: bool = True
    """True: nothing from this target reaches the server. False: only datagrams claim the address, so anybody may have
    written it; what this server itself asked of it is still answered."""
    node: str = ""
    """Which node of the fleet told of it; empty = this one decided."""

    def remaining(self, now: Timestamp) -> int | None:
        """Milliseconds that are left at `now`, never negative; None = permanent."""
        return None if self.until is None else max(0, self.until - now)


class Drops(NamedTuple):
    """What the kernel dropped or rejected."""

    packets: int
    bytes: int


MINUTE = 60_000
MINUTES = 24 * 60


class Minute(NamedTuple):
    """What happened in the minute that began `at`."""

    at: Timestamp
    failures: int
    bans: int

    @property
    def place(self) -> int:
        """Which minute of the day it is; each day's takes the place of the one before."""
        return self.at // MINUTE % MINUTES


class PortRange(NamedTuple):
    """Ports of this server, from `first` to `last`, both included."""

    protocol: str
    """`tcp` or `udp`."""
    first: int
    last: int


def parse_address(text: str) -> Address:
    """Return the canonical form of one address.

    Raises:
        InvalidAddress: `text` is not one IPv4 or IPv6 address.
    """
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise InvalidAddress(f"{text[:64]!r} is not an IP address") from None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return Address(Target(str(ip)))


def parse_target(text: str) -> Target:
    """Return the canonical form of an address or a network (host bits are cleared; a /32 or /128 is an address).

    Raises:
        InvalidAddress: `text` is neither.
    """
    if "/" not in text:
        return parse_address(text)
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidAddress(f"{text[:64]!r} is neither an IP address nor a network") from None
    return target_of(network)


def target_of(network: Network) -> Target:
    """Return a network's canonical text; IPv4-mapped networks are folded, a single address stands without a prefix."""
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= MAPPED_PREFIX and network.subnet_of(MAPPED):
        packed = network.network_address.packed[12:]
        network = ipaddress.IPv4Network((packed, network.prefixlen - MAPPED_PREFIX))
    if network.prefixlen == network.max_prefixlen:
        return Target(str(network.network_address))
    return Target(str(network))


def network_of(target: Target) -> Network:
    """Return a target as a network object, for the edges that need its bits."""
    return ipaddress.ip_network(target)
