"""Which sources have been lost for long: told once, and once more when they are back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from amiguard.journal import Action
from amiguard.model import Timestamp

PATIENCE = 60_000
"""Milliseconds without a source that nobody needs to know of: Asterisk restarts, a log is rotated."""

LOST_AND_BACK = {"ami": (Action.AMI_LOST, Action.AMI_CONNECTED), "log": (Action.LOG_LOST, Action.LOG_OPENED)}
"""A source's name -> the actions that its alerts carry."""


class Outages:
    """Watches the sources by their `status()`; a source that never came up is lost since the first look."""

    def __init__(self) -> None:
        self._since: dict[str, Timestamp] = {}
        self._told: set[str] = set()

    def look(self, statuses: Iterable[Mapping[str, object]], now: Timestamp) -> list[tuple[Action, str]]:
        """Return the alerts that are due at `now`, each with its text; to be called every few seconds."""
        alerts = []
        known = {str(status["name"]): status for status in statuses}
        for name in self._since.keys() - known.keys():  # a reload took it away: what comes back later begins anew
            del self._since[name]
            self._told.discard(name)
        for name, status in known.items():
            where = status.get("where", "")
            if name not in LOST_AND_BACK:
                continue
            lost, back = LOST_AND_BACK[name]
            if not status["up"]:
                since = self._since.setdefault(name, now)
                if now - since > PATIENCE and name not in self._told:
                    self._told.add(name)
                    text = f"no events from {where} for more than a minute: {status.get('error') or 'no reason known'}"
                    alerts.append((lost, text))
                continue
            since = self._since.pop(name, now)
            if name in self._told:
                self._told.remove(name)
                text = f"events from {where} again, after {(now - since) // 1000} s without"
                alerts.append((back, text))
        return alerts
