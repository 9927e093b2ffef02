"""How often alerts are told: of each action the first at once, what follows within an interval together at its end.

Pure. Memory is bounded whatever a flood brings: actions are few, and of each at most `TEXTS` short texts are kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from amiguard.journal import Action
from amiguard.model import Timestamp
from amiguard.ports import Notice

TEXTS = 10
TEXT_LIMIT = 500
"""Characters of one alert's text that are told."""
SHORTEST = 1000


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, or several of one action. `texts` are the first ones of `count`."""

    action: Action | None
    at: Timestamp
    texts: tuple[str, ...]
    count: int = 1

    @property
    def untold(self) -> int:
        """How many alerts `texts` leaves out."""
        return self.count - len(self.texts)

    @property
    def name(self) -> str:
        """The action's name in the log; `alert` where there is none."""
        return "alert" if self.action is None else self.action.value


@dataclass(slots=True)
class _Held:
    due: Timestamp
    count: int = 0
    texts: list[str] = field(default_factory=list)

    def left(self, now: Timestamp) -> int:
        return max(0, self.due - now)


class Alerts:
    """Gathers alerts that are not told at once. `interval` is in milliseconds."""

    def __init__(self, interval: int) -> None:
        self._interval = max(interval, SHORTEST)
        self._held: dict[Action | None, _Held] = {}

    def at_once(self, notice: Notice, now: Timestamp) -> Alert | None:
        """Return the alert that is to be told now; None = it is too early for another one of its action."""
        held = self._held.get(notice.action)
        if held is not None and (held.count or held.left(now)):
            return None
        self._held[notice.action] = _Held(now + self._interval)
        return Alert(notice.action, notice.at, (notice.text[:TEXT_LIMIT],))

    def add(self, notice: Notice, now: Timestamp) -> None:
        """Gather an alert. O(1)."""
        held = self._held.setdefault(notice.action, _Held(now))
        held.count += 1
        if len(held.texts) < TEXTS:
            held.texts.append(notice.text[:TEXT_LIMIT])

    def wait(self, now: Timestamp) -> int | None:
        """Return in how many milliseconds the next of the gathered is due; None = nothing is gathered."""
        return min((held.left(now) for held in self._held.values() if held.count), default=None)

    def take(self, now: Timestamp, *, early: bool = False) -> list[Alert]:
        """Return what is due, or `early` all that was gathered, and start the next interval of those."""
        alerts = []
        for action, held in self._held.items():
            if held.count and (early or not held.left(now)):
                alerts.append(Alert(action, now, tuple(held.texts), held.count))
                self._held[action] = _Held(now + self._interval)
        return alerts
