"""What the core asks of the outside: one small contract an edge. Real, dry-run and recording adapters fulfil them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from amiguard.journal import Action
from amiguard.lists import Lists
from amiguard.model import Allowed, Ban, Drops, Minute, Phone, Target, Timestamp

Clock = Callable[[], Timestamp]
"""Tells now. One clock is made at the top (`daemon.py`) and handed down."""


@dataclass(frozen=True, slots=True)
class Position:
    """Up to where a log file was read; every field goes into JSON as it is."""

    path: str
    """Under which name it is followed, whatever it is called now."""
    device: int
    inode: int
    offset: int
    """In bytes: the first line that was not handed on begins here."""
    head: str
    """How the file begins, as `length:checksum`; two files of one inode, one after the other, begin differently."""


class Source(Protocol):
    """Something that tells of failures: AMI, a log file."""

    async def run(self) -> None:
        """Deliver events to the sink given at construction until cancelled. Expected faults are retried inside."""

    def status(self) -> Mapping[str, object]:
        """Tell how it goes, JSON-able: at least `name` and `up`."""

    def positions(self) -> Sequence[Position]:
        """Tell up to where each file was handed on; nothing for what can't be read again."""


@dataclass(frozen=True, slots=True)
class Interference:
    """Somebody else changed amiguard's part of the kernel."""

    what: str
    """What was done, in words."""
    targets: Sequence[Target] | None = None
    """The only targets whose bans may have been hurt; None = the layout itself was."""
    process: str = ""
    """Who did it, as the kernel calls that process; empty = it does not tell."""
    pid: int = 0
    """The number of that process outside of all containers; 0 = the kernel does not tell."""


class Firewall(Protocol):
    """Puts bans into a kernel. Every method returns after the kernel's acknowledgement.

    All raise `FirewallError`; then nothing of that call may be taken as done, and calling again is harmless.
    `enforces` is False for a dry run: nothing is dropped, and the log must not say so."""

    @property
    def enforces(self) -> bool:
        """Whether a ban drops packets."""

    @property
    def lists(self) -> Lists:
        """What others want to be dropped; `start` keeps it, or makes its sets anew without anybody in them."""

    @property
    def place(self) -> str:
        """Where the bans are, in words; two firewalls of the same place share what is in it."""

    async def start(self, allow: Iterable[Target], bans: Sequence[Ban], now: Timestamp) -> None:
        """Lay out tables and sets, `allow` first, then `bans`; what the kernel already drops stays dropped throughout.

        Also repairs: called again, it restores a layout that somebody removed."""

    async def allow(self, targets: Iterable[Target]) -> None:
        """Never drop these from now on, and none but these: they replace what was allowed before, all at once."""

    async def ban(self, bans: Sequence[Ban], now: Timestamp) -> None:
        """Drop these targets until their `until`; a target that is banned already gets the new end and strength, and is
        never let through in between."""

    def ban_at_once(self, ban: Ban, now: Timestamp) -> bool:
        """Do as `ban` in this very step of the loop; False: that can't be, and nothing was done."""

    async def unban(self, targets: Sequence[Target]) -> None:
        """Let these targets through again; one that is not banned is no error."""

    async def interrupt(self, targets: Collection[Target]) -> None:
        """End conversations that this server was made to begin with these: a ban that is not absolute spares them."""

    async def drops(self, targets: Sequence[Target]) -> Mapping[Target, Drops]:
        """Tell what was dropped of those of these that are banned; of none where the kernel does not count for each."""

    async def recall(self, take: Callable[[Target, int | None, bool], None]) -> None:
        """Tell `take` of each target that is banned now, whoever put it there: how many milliseconds are left (None =
        for ever), and whether its ban is absolute. One may be told twice, and what changes meanwhile not at all."""

    async def total_drops(self) -> Drops:
        """Tell what was dropped in all."""

    async def watch(self) -> Interference:
        """Return when somebody else has changed what `start` and `ban` put into the kernel; one caller at a time.

        What comes in between two calls is told by the later one. `start` repairs everything, and forgets what was not
        told yet; `ban` repairs the bans of single targets. `close` ends it with a FirewallError."""

    def lacks(self) -> Sequence[str]:
        """Tell what this kernel can't do, and what that means, a sentence each; known once started."""

    async def close(self) -> None:
        """Free sockets and the claim to the place; bans stay in the kernel. `start` takes it up again."""

    async def withdraw(self) -> None:
        """Let everybody through: remove what was laid out, with every ban. Only after `close`."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a store remembers: the bans that are still running, how often each target was banned in all, who was
    allowed, and up to where the logs were read."""

    bans: Sequence[Ban] = ()
    history: Mapping[Target, int] = field(default_factory=dict)
    times: Mapping[Target, tuple[Timestamp, ...]] = field(default_factory=dict)
    """When the newest bans of a target began; of one that is banned for the first time, and is so still, its ban tells
    it."""
    positions: Sequence[Position] = ()
    allowed: Sequence[Allowed] = ()
    """What an administrator allowed while amiguard ran."""
    phones: Sequence[Phone] = ()
    names: Sequence[Resolved] = ()
    minutes: Sequence[Minute] = ()
    """What happened within the last day."""


class Ending(StrEnum):
    """How a ban ended."""

    UNBAN = "unban"
    EXPIRE = "expire"


@dataclass(frozen=True, slots=True)
class Ended:
    """A ban is over."""

    target: Target
    at: Timestamp
    ending: Ending


@dataclass(frozen=True, slots=True)
class Disallowed:
    """What an administrator had allowed is not allowed any more."""

    target: Target


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name of the settings stands for from now on; for nobody, if it is not among them any more."""

    name: str
    addresses: tuple[Target, ...]


Change = Ban | Ended | Position | Allowed | Disallowed | Resolved | Phone | Minute


class Store(Protocol):
    """Remembers bans and offenders over restarts. Every method raises `StoreError`."""

    async def open(self, now: Timestamp) -> Saved:
        """Open or create the database and return what it remembers at `now`, without the bans that ended meanwhile."""

    async def write(self, changes: Sequence[Change]) -> None:
        """Make these changes durable, all or none, in their order. Writing one twice is harmless."""

    async def close(self) -> None:
        """Flush and free."""


class Successor(Store, Protocol):
    """A store that takes the place of another one of its kind."""

    async def open_as_copy(self, source: Path) -> None:
        """Open it with all that the store at `source` remembers. Raises StoreError: nothing is overwritten."""

    async def discard(self) -> None:
        """Close it and remove the copy that `open_as_copy` made."""


class NoticeKind(StrEnum):
    """What an administrator is told about; the words of `MAIL_EVENTS` and `WEBHOOK_EVENTS`."""

    START = "start"
    STOP = "stop"
    BAN = "ban"
    UNBAN = "unban"
    ALERT = "alert"
    """Something he should look at now; notifiers tell it at once, and limit how often they tell of one action."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something an administrator wants to know. `ban` goes with the kinds BAN and UNBAN, `text` with the others.

    `action` is that of the log line which says the same, for kind ALERT. Its `text` is one line; it may hold what a
    stranger wrote, as it is: each notifier escapes it for its reader."""

    kind: NoticeKind
    at: Timestamp
    ban: Ban | None = None
    text: str = ""
    action: Action | None = None
    dropped: Drops | None = None
    """What the kernel had dropped in all, as far as was known then."""


Country = Callable[[Target], str]
"""Tells the code of the country in which an address is registered; "" = not known. Never raises."""


class Notifier(Protocol):
    """Tells people."""

    def post(self, notice: Notice) -> None:
        """Take a notice for later delivery. Returns at once, never raises; memory is bounded."""

    async def run(self) -> None:
        """Deliver until cancelled; what could not be delivered by then is kept for the next start."""

    def status(self) -> Mapping[str, object]:
        """Tell how it goes, JSON-able: at least `name`, `waiting`, `sent` and `lost` (messages), and `error`, which is
        empty while all is well."""

    async def drain(self, grace: float) -> None:
        """Deliver what waits, for at most `grace` seconds; called once `run` has ended."""


class Alert(Protocol):
    """Tells the administrator at once of something that he should look at."""

    def __call__(self, action: Action, text: str, /, **fields: object) -> None:
        """Write the log line of `action`, and post a notice of kind ALERT that says the same.

        `text` is one line for people and may hold what a stranger wrote; `fields` are as in `journal.Journal.write`.
        Never raises; notifiers limit how often they tell of one action."""
