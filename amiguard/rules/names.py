"""Who tries many accounts: the names that each address failed on, or left a challenge for unanswered. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from amiguard.asterisk.schema import SecurityEvent
from amiguard.model import Address, Evidence, Failure, Reason, Timestamp
from amiguard.ranked import Entry, Ranked

CAPACITY = 20_000
"""Addresses watched at once; about 15 MB when each tries one name, 100 MB when each tries ten as long as can be."""

LEVELS = 16
UNKNOWN = frozenset({"", "<unknown>"})
"""What PJSIP calls an account that it does not have: no name that was tried."""

FINDTIME = 24 * 3600 * 1000
"""Milliseconds for which a name counts."""

MOST = 100
"""Names remembered an address, the newest."""

LENGTH = 64
"""Characters remembered of each: what is longer is no account's name, and costs memory."""


class Name(NamedTuple):
    """How an address tried a name."""

    failures: int
    """0 where challenges for it were left unanswered only."""
    connected: bool
    """Whether it ever failed over a connection."""
    last: Timestamp


class Tries(Entry):
    """The names that one address tried; the newest stands last."""

    __slots__ = ("connected", "names")

    def __init__(self) -> None:
        super().__init__()
        self.connected = False
        self.names: OrderedDict[str, Name] = OrderedDict()


class Names:
    """Remembers which names an address tried within `FINDTIME`.

    A name that is told late counts as if it came with the newest one of its address."""

    def __init__(self) -> None:
        self._tries: Ranked[Address, Tries] = Ranked(Tries, LEVELS, CAPACITY)

    def __len__(self) -> int:
        return len(self._tries)

    def tried(self, failure: Failure) -> Tries | None:
        """Note the name that a failure tells of, or a challenge that nobody answered; return what its address tried."""
        account = name_of(failure)
        if account in UNKNOWN:
            return None
        connected = failure.evidence is Evidence.CONNECTED
        tries = self._tries.take(failure.address, failure.at - FINDTIME)
        tries.last = max(tries.last, failure.at)
        tries.connected = tries.connected or connected
        known = tries.names.pop(account, None) or Name(0, connected, 0)
        failures = known.failures + (failure.reason is not Reason.SCAN)
        tries.names[account] = Name(failures, known.connected or connected, tries.last)
        while len(tries.names) > MOST or next(iter(tries.names.values())).last < tries.last - FINDTIME:
            tries.names.popitem(last=False)
        self._tries.rank(failure.address, tries, len(tries.names) - 1)
        return tries

    def names(self, address: Address, now: Timestamp) -> Iterator[tuple[str, Name]]:
        """Yield the names that this address tried lately."""
        tries = self._tries.get(address)
        if tries is not None:
            for account, name in tries.names.items():
                if now - name.last <= FINDTIME:
                    yield account, name

    def forget(self, address: Address) -> None:
        """Drop what is known of this address."""
        self._tries.drop(address)


def name_of(told: Failure | SecurityEvent) -> str:
    """Return what an account is remembered by."""
    return told.account[:LENGTH]
