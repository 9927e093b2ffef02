"""Addresses in their order, so that those in a network are found by bisection. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from ipaddress import ip_address

from amiguard.model import Address, Target, network_of


class Ordered:
    """A set of addresses. To add one or to take it out costs microseconds, also among 50,000."""

    def __init__(self, addresses: Iterable[Address] = ()) -> None:
        self._numbers: dict[int, list[int]] = {4: [], 6: []}
        """By IP version."""
        for address in addresses:
            self.add(address)

    def __len__(self) -> int:
        return sum(map(len, self._numbers.values()))

    def add(self, address: Address) -> None:
        """Put an address in; one that is there already is no error."""
        ip = ip_address(address)
        numbers, number = self._numbers[ip.version], int(ip)
        if not _is_at(numbers, bisect_left(numbers, number), number):
            insort(numbers, number)

    def discard(self, address: Address) -> None:
        """Take an address out; one that is missing is no error."""
        ip = ip_address(address)
        numbers, number = self._numbers[ip.version], int(ip)
        place = bisect_left(numbers, number)
        if _is_at(numbers, place, number):
            del numbers[place]

    def within(self, target: Target) -> list[Address]:
        """Return those that lie in a network, or are this very address."""
        network = network_of(target)
        numbers = self._numbers[network.version]
        begin = bisect_left(numbers, int(network.network_address))
        end = bisect_left(numbers, int(network.broadcast_address) + 1)
        make = type(network.network_address)
        return [Address(Target(str(make(number)))) for number in numbers[begin:end]]


def _is_at(numbers: list[int], place: int, number: int) -> bool:
    return place < len(numbers) and numbers[place] == number
