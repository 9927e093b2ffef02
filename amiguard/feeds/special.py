"""Networks that no list may have dropped: nobody on the Internet has an address there, but this server's own network
may. Pure.

Source: IANA's registries of special-purpose addresses (RFC 6890, kept at iana.org/assignments), and multicast."""

from __future__ import annotations

from bisect import bisect_right
from ipaddress import ip_network

from amiguard.listed import Width

SPECIAL4 = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",  # multicast, and what is reserved for ever
)
SPECIAL6 = (
    "::/3",  # only 2000::/3 is given out
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "4000::/2",
    "8000::/1",
)
WIDEST = {4: 8, 6: 19}
"""The shortest prefix that a list may name: what is wider is no attacker, but a mistake or malice."""


def _ranges(networks: tuple[str, ...]) -> tuple[list[int], list[int]]:
    known = sorted(map(ip_network, networks), key=lambda network: int(network.network_address))
    return [int(one.network_address) for one in known], [int(one.broadcast_address) for one in known]


_RANGES = {4: _ranges(SPECIAL4), 6: _ranges(SPECIAL6)}


def is_special(width: Width, number: int) -> bool:
    """Whether a network touches one of these."""
    firsts, lasts = _RANGES[width.version]
    first = number << width.shift
    last = first | (1 << width.shift) - 1
    place = bisect_right(firsts, last) - 1
    return place >= 0 and lasts[place] >= first
