"""Who is never banned. Pure; a look-up costs the same for ten networks and for a hundred thousand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from amiguard.model import Network, Target, network_of, target_of

_Ranges = tuple[list[int], list[int]]


class Allowlist:
    """A set of addresses and networks, in any overlap."""

    def __init__(self, targets: Iterable[Target] = ()) -> None:
        networks = [network_of(target) for target in targets]
        v4 = list(collapse_addresses(n for n in networks if isinstance(n, IPv4Network)))
        v6 = list(collapse_addresses(n for n in networks if isinstance(n, IPv6Network)))
        self._networks: list[Network] = [*v4, *v6]
        self._ranges: dict[int, _Ranges] = {4: _bounds(v4), 6: _bounds(v6)}

    def __iter__(self) -> Iterator[Target]:
        """Yield the smallest set of networks that says the same."""
        return (target_of(network) for network in self._networks)

    def __len__(self) -> int:
        return len(self._networks)

    def covers(self, target: Target) -> bool:
        """Whether any address of `target` is allowed: an address in the list, a network that touches it."""
        if "/" in target or ":" in target:
            network = network_of(target)
            starts, ends = self._ranges[network.version]
            first, last = int(network.network_address), int(network.broadcast_address)
        else:  # by hand, for a start asks for a hundred thousand addresses
            starts, ends = self._ranges[4]
            first = last = int.from_bytes(bytes(map(int, target.split("."))), "big")
        index = bisect_right(starts, last) - 1
        return index >= 0 and ends[index] >= first


def _bounds(networks: Iterable[Network]) -> _Ranges:
    ordered = list(networks)
    return [int(n.network_address) for n in ordered], [int(n.broadcast_address) for n in ordered]
