"""Books what the kernel has acknowledged: which bans are in force, and who was banned before. Each change goes to the
log, the database, the people and the other servers, in this order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amiguard.ends import Ends
from amiguard.history import History
from amiguard.journal import Action, Journal
from amiguard.model import Ban, Drops, Origin, Target
from amiguard.nodes import Lifted, Shared
from amiguard.ports import Clock, Ended, Ending, Notice, NoticeKind, Notifier, Saved
from amiguard.recorder import Recorder

MAX_HISTORY = 100_000
"""Offenders whose earlier bans are remembered in memory."""


class Ledger:
    """The bans in force, and what is told of them."""

    def __init__(self, recorder: Recorder, notifiers: Sequence[Notifier], journal: Journal, clock: Clock) -> None:
        self.active: dict[Target, Ban] = {}
        self.ends = Ends(self.active)
        self.history = History(MAX_HISTORY)
        self.dropped = Drops(0, 0)
        """What the kernel had dropped in all when it was last asked."""
        self.share: Callable[[Shared], None] = lambda _: None
        """Is told of each new ban, and of each target that an administrator lets through."""
        self.lifted: set[Target] | None = None
        """Who was let through while the kernel's bans are read; None: they aren't."""
        self._recorder = recorder
        self._notifiers = notifiers
        self._journal = journal
        self._clock = clock

    def adopt(self, saved: Saved) -> None:
        """Take up what the store remembers; nobody is told."""
        self.history.adopt(saved.history, saved.times, saved.bans)
        for ban in saved.bans:
            self.active[ban.target] = ban
        self.ends.extend(saved.bans)

    def recall(self, ban: Ban) -> None:
        """Take up a ban that the kernel alone remembers; nobody is told."""
        self.history.add(ban)
        self.active[ban.target] = ban
        self.ends.add(ban)

    def was_lifted(self, target: Target) -> bool:
        """Whether a target was let through since the kernel's bans are being read."""
        return self.lifted is not None and target in self.lifted

    def begin(self, ban: Ban, *, enforced: bool) -> Ban:
        """Book a ban that the kernel took, or in a dry run would have got; return the one that is in force now."""
        known = self.active.get(ban.target)
        if known is ban:  # put in once more because it did not bite
            return ban
        if known is not None and (known.since, known.until) == (ban.since, ban.until):
            return self._escalate(ban) if enforced else known
        self.history.add(ban)
        self.active[ban.target] = ban
        self.ends.add(ban)
        if enforced:
            self._journal.write(Action.BAN, f"{ban.target} is banned", ban=ban)
        else:
            text = f"dry run: {ban.target} would be banned for {ban.reason.value}"
            self._journal.write(Action.BAN, text, ban=ban, outcome="unknown", reason="dry-run")
        self._recorder.record(ban)
        self._post(NoticeKind.BAN, ban)
        self.share(ban)
        return ban

    def lift(self, target: Target, waiting: Ban | None, origin: Origin, **who: object) -> Ban | None:
        """Book that a target was let through; return its ban, `waiting` where it was not in force yet."""
        if self.lifted is not None:
            self.lifted.add(target)
        ban = self.active.pop(target, None) or waiting
        if ban is not None:
            self._recorder.record(Ended(target, self._clock(), Ending.UNBAN))
            self._journal.write(Action.UNBAN, f"{target} is let through again", ban=ban, origin=origin, **who)
            self._post(NoticeKind.UNBAN, ban)
        if origin is Origin.MANUAL:
            self.share(Lifted(target, self._clock()))
        return ban

    def end(self, ban: Ban) -> None:
        """Book that the time of a ban is over."""
        del self.active[ban.target]
        self._recorder.record(Ended(ban.target, self._clock(), Ending.EXPIRE))
        self._journal.write(Action.EXPIRE, f"the ban of {ban.target} is over", ban=ban)

    def _escalate(self, ban: Ban) -> Ban:
        """Book that a running ban became absolute: it is no new one."""
        self.active[ban.target] = ban
        self._journal.write(Action.BAN_ESCALATED, f"{ban.target} goes on, and is cut off absolutely", ban=ban)
        self._recorder.record(ban)
        self.share(ban)
        return ban

    def _post(self, kind: NoticeKind, ban: Ban) -> None:
        if ban.origin is Origin.FLEET:  # or a thousand nodes would write a thousand mails; the one that decided does
            return
        notice = Notice(kind, self._clock(), ban, dropped=self.dropped)
        for notifier in self._notifiers:
            notifier.post(notice)
