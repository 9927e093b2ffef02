"""Whose whole network attacks: many offenders of one /24, or of one /64, which is what one customer gets. Pure.

Of an IPv6 network each address that fails counts, for its owner has 2^64 of them. An IPv4 network has many owners: of
it only who is banned counts, or who is proven by a connection, for a forged packet must not weigh as much as an
attack."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_network

from amiguard.jail import ban_of
from amiguard.model import Address, Ban, Evidence, Failure, Network, Reason, Target, Timestamp, network_of, target_of
from amiguard.policy import Policy
from amiguard.ranked import Entry, Ranked

CAPACITY = 10_000
"""Networks watched at once; about 25 MB when full."""

LEVELS = 16

PIECES = 256
"""Bans that one network may need where some of its addresses are spared; with more, its offenders are banned alone."""


class Neighbours(Entry):
    """The offenders of one network, and when each was last heard of; the newest stands last."""

    __slots__ = ("offenders",)

    def __init__(self) -> None:
        super().__init__()
        self.offenders: OrderedDict[Address, tuple[Timestamp, Evidence]] = OrderedDict()


class Networks:
    """Counts the offenders of each network within `findtime`.

    One that is told late counts as if it came with the newest one of its network."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._networks: Ranked[Target, Neighbours] = Ranked(Neighbours, LEVELS, CAPACITY)

    def __len__(self) -> int:
        return len(self._networks)

    def failed(self, failure: Failure, *, banned: bool) -> Ban | None:
        """Count an offender; return the ban of its network, if that is what comes of it."""
        settings, most = self.policy.networks, self.most(failure.address)
        if not most or not is_offender(failure, banned=banned):
            return None
        network = self.network(failure.address)
        neighbours = self._networks.take(network, failure.at - settings.findtime)
        neighbours.last = max(neighbours.last, failure.at)
        offenders = neighbours.offenders
        offenders.pop(failure.address, None)
        offenders[failure.address] = (neighbours.last, failure.evidence)
        while len(offenders) > most or next(iter(offenders.values()))[0] < neighbours.last - settings.findtime:
            offenders.popitem(last=False)
        if len(offenders) < most:
            self._networks.rank(network, neighbours, len(offenders) - 1)
            return None
        self._networks.drop(network)
        connected = all(evidence is Evidence.CONNECTED for _, evidence in offenders.values())
        return ban_of(failure, self.policy, target=network, connected=connected, failures=most, reason=Reason.NETWORK)

    def offenders(self, address: Address) -> int:
        """Return how many offenders of this address's network count."""
        neighbours = self._networks.get(self.network(address))
        return len(neighbours.offenders) if neighbours is not None else 0

    def most(self, address: Address) -> int:
        """Return how many offenders of this address's network are too many; 0 = the rule is off."""
        settings = self.policy.networks
        return settings.offenders6 if ":" in address else settings.offenders4

    def network(self, address: Address) -> Target:
        """Return the network whose offenders are counted together with this address."""
        settings = self.policy.networks
        return around(address, settings.prefix6 if ":" in address else settings.prefix4)


def is_offender(failure: Failure, *, banned: bool) -> bool:
    """Whether a failure makes its address an offender of its network."""
    return banned or ":" in failure.address or failure.evidence is Evidence.CONNECTED


@lru_cache(8192)
def around(address: Address, prefix: int) -> Target:
    """Return the network of this prefix length that an address lies in."""
    return target_of(ip_network((address, prefix), strict=False))


def pieces(network: Target, bans: Iterable[Ban]) -> list[Target]:
    """Return those bans' targets that are pieces of the ban of a network, in which somebody was spared."""
    if "/" not in network:
        return []
    wanted = network_of(network)
    found = [ban.target for ban in bans if ban.reason is Reason.NETWORK and ban.target != network]
    return [target for target in found if subnet(network_of(target), wanted)]


def subnet(network: Network, other: Network) -> bool:
    """Whether one network lies in another."""
    return network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]  # of one version


def without(network: Target, spared: list[Target]) -> list[Target] | None:
    """Return the networks that together are `network` without those that are spared; None: there are too many."""
    pieces: list[Network] = [network_of(network)]
    for hole in map(network_of, spared):
        kept: list[Network] = []
        for piece in pieces:
            if not piece.overlaps(hole):
                kept.append(piece)
            elif hole.prefixlen > piece.prefixlen:
                kept += piece.address_exclude(hole)  # type: ignore[arg-type]  # of one version, since they overlap
        pieces = kept
        if len(pieces) > PIECES:
            return None
    return [target_of(piece) for piece in pieces]
