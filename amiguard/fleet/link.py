"""What amiguard asks of Redis, in its commands."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from amiguard.fleet.client import connected, explained, is_refusal
from amiguard.fleet.messages import LARGEST
from amiguard.fleet.scripts import ALLOWED_NOW, BEHIND, COUNT, EXEMPT, GREET, PAGE, SHARE
from amiguard.fleet.settings import FleetSettings
from amiguard.model import Evidence, Target, Timestamp
from amiguard.nodes import Observation, Totals

BLOCK = 1_000
"""Milliseconds that one reading waits for something new."""

LIVE, AT_ONCE = 50, 200
"""Messages read at once: new ones, and those that were missed."""

LONGEST = LARGEST + 128
"""Bytes of a message together with its target and time."""

Id = tuple[int, int]
"""A message's place in the stream: milliseconds of Redis' clock, and a number."""

BEGINNING: Id = (0, 0)

KNOWN = "-"
"""Takes the place of an id where what was told is nothing new."""


class Greeting(NamedTuple):
    """What Redis says to a node that comes or stays."""

    epoch: str
    kept: bool
    """Whether the last message of this node is still there."""
    now: int
    oldest: Id | None
    newest: Id | None


class Outgoing(NamedTuple):
    """A change as Redis takes it. `age`: the milliseconds since it was decided, -1 where nobody knows. `remaining`:
    those that are left of a ban, None for ever."""

    kind: str
    target: Target
    message: bytes
    age: int
    remaining: int | None = None


class Link:
    """One Redis, reached over a few connections: who waits for a message keeps nobody waiting. Raises `FleetError`."""

    def __init__(self, settings: FleetSettings) -> None:
        self._settings = settings
        self._tag = tag = f"{{{settings.prefix}}}"
        self._changes, self._bans, self._ends, self._lifted, self._epoch, self._nodes, self._counted = (
            f"{tag}:{name}" for name in ("changes", "bans", "ends", "lifted", "epoch", "nodes", "counted")
        )
        self._allowed, self._disallowed = f"{tag}/allowed", f"{tag}/disallowed"
        self._redis, *self._asked = connected(settings)

    async def close(self) -> None:
        """Free the connections."""
        with explained(self._settings.server):
            for client in (self._redis, *self._asked):
                await client.aclose()

    async def probe(self) -> str:
        """Greet, and say what was found; return one line."""
        await self.greet("")
        return f"Redis at {self._settings.server} takes changes of {self._settings.node}"

    async def greet(self, written: str) -> Greeting:
        """Say that this node is there, whose last message was `written` (empty = none)."""
        node, version = self._settings.node, self._settings.version
        with explained(self._settings.server):
            told = await self._eval(
                GREET, [self._changes, self._epoch, self._nodes], [written, secrets.token_hex(8), node, version]
            )
            epoch, kept, now, oldest, newest = told
            return Greeting(epoch.decode(), bool(kept), int(now), _id(oldest), _id(newest))

    async def share(self, changes: Sequence[Outgoing]) -> list[str]:
        """Tell changes; return their ids: of as many, from the first on, as Redis took before it was full. An empty id:
        it was taken back since, or is one too many; `-`: it is nothing new.

        Raises:
            FleetFull: Redis has no memory even for the first.
        """
        with explained(self._settings.server):
            pipeline = self._redis.pipeline(transaction=False)
            for one in changes:
                keys = [self._changes, self._bans, self._ends, self._lifted, self._failures(one.target)]
                values: list[str | bytes | int] = [one.kind, one.target, one.message, one.age]
                if one.kind in {"allow", "disallow"}:
                    keys += [self._allowed, self._disallowed]
                    pipeline.eval(EXEMPT, len(keys), *keys, *values)
                else:
                    values.append(-1 if one.remaining is None else one.remaining)
                    pipeline.eval(SHARE, len(keys), *keys, *values)
            ids: list[str] = []
            for answer in await pipeline.execute(raise_on_error=False):
                if isinstance(answer, Exception):
                    if ids:
                        break
                    raise answer
                ids.append(answer.decode())
            return ids

    async def count(self, observations: Sequence[tuple[str, Observation]], now: Timestamp) -> list[Totals]:
        """Count failures, each under a name of its own; return how many count then."""
        with explained(self._settings.server):
            pipeline = self._redis.pipeline(transaction=False)
            for name, one in observations:
                keys = [
                    self._failures(one.failure.address),
                    f"{self._tag}:network:{one.network.name if one.network else ''}",
                    f"{self._tag}:account:{_digest(one.account.name) if one.account else ''}",
                    self._counted,
                ]
                pipeline.eval(COUNT, len(keys), *keys, *_values(name, one, now))
            return [_totals(answer) for answer in await pipeline.execute(raise_on_error=False)]

    async def read(self, after: Id) -> list[tuple[Id, bytes]]:
        """Return new messages behind `after`; wait a second for one."""
        with explained(self._settings.server):
            streams: Any = {self._changes: _text(after)}
            answer: Any = await self._redis.xread(streams, count=LIVE, block=BLOCK)
            entries = answer[0][1] if answer else []
            return [(_id(name) or after, fields.get(b"m", b"")) for name, fields in entries]

    async def behind(self, after: Id) -> list[tuple[Id, bytes]]:
        """Return messages behind `after` that were missed; those that are too long, empty."""
        with explained(self._settings.server):
            entries = await self._look(BEHIND, [self._changes], [_text(after), AT_ONCE, LARGEST])
            return [(_id(name) or after, message) for name, message in entries]

    async def snapshot(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield when each running ban was told, in Redis' time, and its message. A ban may come twice."""
        async for _, entry in self._fields(self._bans):
            yield _dated(entry)

    async def exemptions(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield the same of each target that is never banned."""
        async for _, entry in self._fields(self._allowed):
            yield _dated(entry)

    async def exempted(self, target: Target) -> bytes | None:
        """Return the message that a target is never banned, as it holds now."""
        with explained(self._settings.server):
            entry = await self._look(ALLOWED_NOW, [self._allowed], [target, LONGEST])
            return None if entry is None else _dated(entry)[1]

    async def nodes(self) -> AsyncIterator[tuple[str, int, str]]:
        """Yield who was heard of, when, in Redis' time, and in which version, as they are told."""
        async for node, entry in self._fields(self._nodes):
            at, version = _dated(entry)
            yield node.decode(errors="replace"), at, version.decode(errors="replace")

    async def _fields(self, key: str) -> AsyncIterator[tuple[bytes, bytes]]:
        """Yield the fields of a hash, some of them twice, without those that are longer than any message."""
        cursor = b"0"
        while True:
            with explained(self._settings.server):
                cursor, told = await self._look(PAGE, [key], [cursor, AT_ONCE, LONGEST])
                pairs = list(zip(told[::2], told[1::2], strict=True))
            for pair in pairs:
                yield pair
            if cursor == b"0":
                return

    def _failures(self, target: Target) -> str:
        return f"{self._tag}:count:{target}"

    async def _eval(self, script: str, keys: Sequence[str], values: Sequence[str | bytes | int]) -> Any:  # noqa: ANN401 -- as Redis' library says
        answer: Any = self._redis.eval(script, len(keys), *keys, *values)
        return await answer

    async def _look(self, script: str, keys: Sequence[str], values: Sequence[str | bytes | int]) -> Any:  # noqa: ANN401 -- as Redis' library says
        """Have a script run that changes nothing: a user who may only read these keys may do it."""
        answer: Any = self._redis.eval_ro(script, len(keys), *keys, *values)
        return await answer


def _values(name: str, told: Observation, now: Timestamp) -> list[str | int]:
    """Return the arguments of `COUNT`."""
    failure, network, account = told.failure, told.network, told.account
    return [
        name,
        failure.address,
        "c" if failure.evidence is Evidence.CONNECTED else "d",
        max(0, now - failure.at),
        min(failure.weight, told.maxretry),
        told.findtime,
        told.maxretry,
        int(told.at_once),
        network.most if network else 0,
        network.findtime if network else 0,
        account.most if account else 0,
        account.findtime if account else 0,
    ]


def _totals(answer: Any) -> Totals:  # noqa: ANN401 -- as Redis' library says
    if is_refusal(answer):  # somebody put something else there
        return Totals(0, 0, False, 0, ())
    if isinstance(answer, Exception):
        raise answer
    total, neighbours, proven, attackers, newest = answer
    return Totals(int(total), int(neighbours), bool(proven), int(attackers), tuple(map(_address, newest)))


def _digest(account: str) -> str:
    """Return what stands for an account in the name of a key: its name may be an attacker's, and of any length."""
    return blake2b(account.encode(errors="backslashreplace"), digest_size=16).hexdigest()


def _address(told: bytes) -> str:
    return told[:64].decode(errors="replace")


def _dated(entry: bytes) -> tuple[int, bytes]:
    """Return the time before a message, and the message."""
    times, _, message = entry.partition(b" ")
    at = times.partition(b"-")[0]
    return (int(at[:15]) if at.isdigit() else 0), message


def _text(place: Id) -> str:
    return f"{place[0]}-{place[1]}"


def _id(name: bytes) -> Id | None:
    if not name:
        return None
    at, _, number = name.partition(b"-")
    return int(at), int(number)
