"""Has dropped here whom CrowdSec decided to ban: all of its decisions first, then what changes, as a bouncer does.

After a failure everything is asked for anew, since CrowdSec tells each change once only; and once an hour, so that
nothing that went astray lasts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping

from amiguard.errors import FeedError
from amiguard.feeds.crowdsec.decisions import Decision, decision_of, told
from amiguard.feeds.crowdsec.lapi import Lapi, lapi
from amiguard.feeds.crowdsec.settings import CrowdSecSettings
from amiguard.feeds.names import CROWDSEC
from amiguard.feeds.networks import LeftOut, Named, split
from amiguard.journal import Action, Journal
from amiguard.listed import Gathering, Listed, Width
from amiguard.lists import Delta, Taker
from amiguard.model import Timestamp
from amiguard.ports import Clock
from amiguard.retry import Retry
from amiguard.stepping import in_steps
from amiguard.web import where

ANEW = 3600
"""Seconds after which all decisions are asked for again."""

RETRY = (5.0, 300.0)
"""Seconds between tries: first and longest, doubled each time."""

STEP = 100
"""Decisions in one step of the loop; each may be about 128 networks."""

LARGE = 500
"""Addresses and networks that may change one by one; of more, everything is asked for anew."""


class Bouncer:
    """A `lists.Feed` of CrowdSec's decisions; `taker` gets them. What CrowdSec can't tell stays, until its end."""

    name = CROWDSEC

    def __init__(self, settings: CrowdSecSettings, taker: Taker, journal: Journal, clock: Clock) -> None:
        self._settings = settings
        self._taker = taker
        self._journal = journal
        self._clock = clock
        self._standing: dict[Named, dict[int, Timestamp]] = {}
        """By network the decisions that stand against it, and their ends: it is free when the last is gone."""
        self._entries = 0
        self._count = 0
        """Decisions that are known or were, since all were asked for."""
        self._had: Timestamp | None = None
        self._failing = ""
        self._failures = 0

    async def run(self) -> None:
        """Follow CrowdSec until cancelled."""
        retry = Retry(*RETRY)
        while True:
            try:
                async with lapi(self._settings) as opened:
                    await self._start(opened)
                    retry.reset()
                    await self._follow(opened)
            except FeedError as error:
                self._failed(error)
                await asyncio.sleep(max(error.wait, retry.next()))

    def status(self) -> Mapping[str, object]:
        """Tell how it goes; see `lists.Feed`."""
        return {
            "where": where(self._settings.url),
            "up": not self._failing and self._had is not None,
            "error": self._failing,
            "age": None if self._had is None else (self._clock() - self._had) // 1000,
            "failures": self._failures,
        }

    # ----------------------------------------------------------------------------------------------------------------

    async def _start(self, opened: Lapi) -> None:
        """Take all decisions that are in force."""
        text = await opened.decisions(startup=True)
        now, left_out, standing = self._clock(), Counter[LeftOut](), dict[Named, dict[int, Timestamp]]()
        entries = 0
        async for kind, decision in self._decisions(text, left_out):
            if kind == "new" and decision.duration > 0:
                if decision.named not in standing:
                    entries += len(split(*decision.named)[1])
                    self._check(entries)
                standing.setdefault(decision.named, {})[decision.id] = now + decision.duration
        listed = await self._listed(standing)
        self._standing, self._entries, self._had = standing, entries, now
        self._count = sum(map(len, standing.values()))
        self._failing = ""
        self._taker.replace(
            self.name,
            listed,
            {"where": where(self._settings.url)} | {why.value: left_out[why] for why in LeftOut},
        )

    async def _listed(self, standing: Mapping[Named, Mapping[int, Timestamp]]) -> Listed:
        gathering, ends = Gathering(), dict[tuple[Width, int], Timestamp]()
        async for named, decisions in in_steps(standing.items(), STEP):
            width, numbers = split(*named)
            for one in numbers:
                gathering.add(width, one)
                ends[width, one] = max(ends.get((width, one), 0), *decisions.values())
        listed = Listed()
        for _ in gathering.ordered(listed):
            await asyncio.sleep(0)
        for width, part in listed.parts.items():
            async for one in in_steps(part.numbers, STEP):
                part.ends.append(ends[width, one])
        return listed

    async def _follow(self, opened: Lapi) -> None:
        """Take what changes, for an hour."""
        end = self._clock() + ANEW * 1000
        while self._clock() < end:
            await asyncio.sleep(self._settings.interval)
            if not await self._change(await opened.decisions(startup=False)):
                await self._start(opened)

    async def _change(self, text: str) -> bool:
        """Take some changes; False: they are too many, and were not taken."""
        now, left_out = self._clock(), Counter[LeftOut]()
        put, take = list[tuple[Width, int, Timestamp]](), list[tuple[Width, int]]()
        touched: dict[Named, int] = {}
        async for kind, decision in self._decisions(text, left_out):
            standing = self._standing.setdefault(decision.named, {})
            if kind == "new" and decision.duration > 0:
                standing[decision.id] = now + decision.duration
            elif kind == "deleted":
                standing.pop(decision.id, None)
            touched[decision.named] = len(split(*decision.named)[1])
            self._count += 1
        self._check(self._count)
        if len(touched) > LARGE or sum(touched.values()) > LARGE:
            return False
        for named in touched:
            width, numbers = split(*named)
            ends = [end for end in self._standing[named].values() if end > now]
            if ends:
                put += [(width, one, max(ends)) for one in numbers]
            else:
                del self._standing[named]
                take += [(width, one) for one in numbers]
        self._entries += len(put)
        self._had = now
        if put or take:
            self._check(self._entries)
            await self._taker.change(self.name, Delta(put, take))
        return True

    async def _decisions(self, text: str, left_out: Counter[LeftOut]) -> AsyncIterator[tuple[str, Decision]]:
        """Yield who is to be dropped, or not any more, at the word of others, and let the loop breathe: hundreds of
        thousands may be our own, or garbage."""
        async for kind, item in in_steps(told(text), STEP):
            decision = decision_of(item)
            if isinstance(decision, LeftOut):
                left_out[decision] += 1
            elif decision is not None and decision.origin != self._settings.origin:
                yield kind, decision

    def _check(self, entries: int) -> None:
        if entries > self._settings.limit:
            most = f"{self._settings.limit:,} addresses and networks (AMIGUARD_FEED_LIMIT)"
            raise FeedError(f"{where(self._settings.url)}: it has more than {most}")

    def _failed(self, error: FeedError) -> None:
        self._failures += 1
        if str(error) != self._failing:
            text = f"CrowdSec's decisions can't be had: {error}; those that are known are dropped until their end"
            self._journal.write(Action.FEED_FAILED, text, feed=self.name, where=where(self._settings.url), error=error)
        self._failing = str(error)
