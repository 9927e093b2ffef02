"""Names that are followed: each is resolved in the background, again when its TTL is over, and the last good answer
holds while DNS is dead or answers nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from amiguard.errors import ResolverError
from amiguard.journal import Action, Journal
from amiguard.model import Address
from amiguard.retry import Retry
from amiguard.surroundings.dns import Answer

LookUp = Callable[[str, int], Awaitable[Answer]]
"""Resolves a name to its addresses of one IP version. Raises ResolverError."""

REFRESH = (30.0, 3600.0)
"""Seconds from an answer to the next question, at least and at most, whatever the TTL says."""

RETRY = (10.0, 300.0)
"""Seconds from a failed question to the next: first, and longest after doubling."""

ADDRESSES_A_NAME = 64
"""Whoever answers for a name decides who is allowed, but not how many."""

NOBODY: frozenset[Address] = frozenset()


class Names:
    """Follows names; `changed(name, addresses)` is called when a name stands for others than before."""

    def __init__(
        self,
        look_up: LookUp,
        changed: Callable[[str, frozenset[Address]], None],
        journal: Journal,
        *,
        refresh: tuple[float, float] = REFRESH,
        retry: tuple[float, float] = RETRY,
    ) -> None:
        self._look_up = look_up
        self._changed = changed
        self._journal = journal
        self._refresh = refresh
        self._retry = retry
        self._wanted: set[str] = set()
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def follow(self, names: Collection[str]) -> None:
        """Follow these names and no others."""
        self._wanted = set(names)
        if self._tasks is not None:
            self._adapt(self._tasks)

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._adapt(tasks)
            tasks.create_task(_for_ever())

    def _adapt(self, tasks: asyncio.TaskGroup) -> None:
        for name in self._followed.keys() - self._wanted:
            self._followed.pop(name).cancel()
            self._changed(name, NOBODY)
        for name in self._wanted - self._followed.keys():
            self._followed[name] = tasks.create_task(self._keep_up(name))

    async def _keep_up(self, name: str) -> None:
        known = {4: NOBODY, 6: NOBODY}
        failed = ""
        told = NOBODY
        retry = Retry(*self._retry)
        while True:
            error, ttl = await self._ask(name, known)
            if error and not failed:
                text = f"{name} can't be resolved; {'the last answer holds' if told else 'it stands for nobody yet'}"
                self._journal.write(Action.NAME_FAILED, text, name=name, error=ResolverError(error))
            elif failed and not error:
                self._journal.write(Action.NAME_RECOVERED, f"{name} is resolved again", name=name)
            failed = error
            now = self._bounded(name, known[4] | known[6])
            if now != told:
                told = now
                self._changed(name, now)
            if error:
                await asyncio.sleep(retry.next())
            else:
                retry.reset()
                await asyncio.sleep(min(max(ttl, self._refresh[0]), self._refresh[1]))

    async def _ask(self, name: str, known: dict[int, frozenset[Address]]) -> tuple[str, float]:
        """Bring what is known up to date; return what went wrong, and for how long the answer holds."""
        asked = await asyncio.gather(*(self._look_up(name, version) for version in known), return_exceptions=True)
        answers: dict[int, Answer] = {}
        error = ""
        for version, outcome in zip(known, asked, strict=True):
            if isinstance(outcome, ResolverError):
                error = str(outcome)
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                answers[version] = outcome
        if not any(answer.addresses for answer in answers.values()):
            return error or f"{name} has no address", 0
        known.update({version: answer.addresses for version, answer in answers.items()})
        return error, min(answer.ttl for answer in answers.values() if answer.addresses)

    def _bounded(self, name: str, addresses: frozenset[Address]) -> frozenset[Address]:
        if len(addresses) <= ADDRESSES_A_NAME:
            return addresses
        left_out = len(addresses) - ADDRESSES_A_NAME
        self._journal.write(Action.OVERLOAD, f"{name} stands for too many addresses", name=name, left_out=left_out)
        return frozenset(sorted(addresses)[:ADDRESSES_A_NAME])


async def _for_ever() -> None:
    await asyncio.Event().wait()
