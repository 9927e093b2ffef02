"""Speaks to Redis: the only import of its library. Whatever fails becomes a `FleetError`, by its type."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeout

from amiguard.errors import FleetError, FleetFull
from amiguard.fleet.scripts import COUNT, GREET, SHARE
from amiguard.fleet.settings import FleetSettings
from amiguard.model import Address, Target, Timestamp

BLOCK = 1_000
"""Milliseconds that one reading waits for something new."""

PATIENCE = 3.0
"""Seconds that Redis may take for an answer, or for a connection."""

PAGE = 200
"""Messages read at once."""

Id = tuple[int, int]
"""A message's place in the stream: milliseconds of Redis' clock, and a number."""

BEGINNING: Id = (0, 0)


class Greeting(NamedTuple):
    """What Redis says to a node that comes or stays."""

    epoch: str
    kept: bool
    """Whether the last message of this node is still there."""
    now: int
    oldest: Id | None
    newest: Id | None


class Outgoing(NamedTuple):
    """A change as Redis takes it. `age`: the milliseconds since it was decided. `remaining`: those that are left of a
    ban, None for ever."""

    kind: str
    target: Target
    message: bytes
    age: int
    remaining: int | None = None


class Counted(NamedTuple):
    """A failure as Redis counts it, under a `name` of its own."""

    address: Address
    name: str
    weight: int
    at: Timestamp
    findtime: int
    maxretry: int


class Link:
    """One Redis, reached over a connection for reading and one for writing. Every method raises `FleetError`."""

    def __init__(self, settings: FleetSettings) -> None:
        self._settings = settings
        tag = f"{{{settings.prefix}}}"
        self._changes, self._bans, self._ends, self._lifted, self._epoch, self._nodes = (
            f"{tag}:{name}" for name in ("changes", "bans", "ends", "lifted", "epoch", "nodes")
        )
        self._redis = redis.Redis.from_url(
            settings.url,
            protocol=2,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
            max_connections=4,
        )

    async def close(self) -> None:
        """Free the connections."""
        with self._explained():
            await self._redis.aclose()

    async def probe(self) -> str:
        """Greet, and say what was found; return one line."""
        await self.greet("")
        return f"Redis at {self._settings.server} takes changes of {self._settings.node}"

    async def greet(self, written: str) -> Greeting:
        """Say that this node is there, whose last message was `written` (empty = none)."""
        node, version = self._settings.node, self._settings.version
        with self._explained():
            told = await self._eval(
                GREET, [self._changes, self._epoch, self._nodes], [written, secrets.token_hex(8), node, version]
            )
            epoch, kept, now, oldest, newest = told
            return Greeting(epoch.decode(), bool(kept), int(now), _id(oldest), _id(newest))

    async def share(self, changes: Sequence[Outgoing]) -> list[str]:
        """Tell changes; return their ids (empty: the target was let through since): of as many, from the first on, as
        Redis took before it was full.

        Raises:
            FleetFull: Redis has no memory even for the first.
        """
        with self._explained():
            pipeline = self._redis.pipeline(transaction=False)
            for one in changes:
                remaining = -1 if one.remaining is None else one.remaining
                keys = self._changes, self._bans, self._ends, self._lifted, self._failures(one.target)
                pipeline.eval(SHARE, len(keys), *keys, one.kind, one.target, one.message, remaining, one.age)
            ids: list[str] = []
            for answer in await pipeline.execute(raise_on_error=False):
                if isinstance(answer, Exception):
                    if ids:
                        break
                    raise answer
                ids.append(answer.decode())
            return ids

    async def count(self, failures: Sequence[Counted], now: Timestamp) -> list[int]:
        """Count failures; return how many of their addresses count then."""
        with self._explained():
            pipeline = self._redis.pipeline(transaction=False)
            for one in failures:
                age = max(0, now - one.at)
                key = self._failures(one.address)
                pipeline.eval(COUNT, 1, key, one.name, one.weight, age, one.findtime, one.maxretry)
            return [int(total) for total in await pipeline.execute()]

    async def read(self, after: Id, *, wait: bool) -> list[tuple[Id, bytes]]:
        """Return messages behind `after`, at most a page; with `wait`, wait a second for one."""
        with self._explained():
            place = f"{after[0]}-{after[1]}"
            streams: Any = {self._changes: place}
            answer: Any = await self._redis.xread(streams, count=PAGE, block=BLOCK if wait else None)
            entries = answer[0][1] if answer else []
            return [(_id(name) or after, fields.get(b"m", b"")) for name, fields in entries]

    async def snapshot(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield when each running ban was told, in Redis' time, and its message. A ban may come twice."""
        with self._explained():
            async for _, entry in self._redis.hscan_iter(self._bans, count=PAGE):
                at, _, message = entry.partition(b" ")
                yield (int(at) if at.isdigit() else 0), message

    async def nodes(self) -> dict[str, tuple[int, str]]:
        """Return when each node was heard of, in Redis' time, and its version, as they are told."""
        with self._explained():
            found = {}
            async for node, entry in self._redis.hscan_iter(self._nodes, count=PAGE):
                at, _, version = entry.partition(b" ")
                if at.isdigit():
                    found[node.decode(errors="replace")] = int(at[:15]), version.decode(errors="replace")
            return found

    def _failures(self, target: Target) -> str:
        return f"{{{self._settings.prefix}}}:count:{target}"

    async def _eval(self, script: str, keys: Sequence[str], values: Sequence[str]) -> Any:  # noqa: ANN401 -- as Redis' library says
        answer: Any = self._redis.eval(script, len(keys), *keys, *values)
        return await answer

    @contextmanager
    def _explained(self) -> Iterator[None]:
        where = f"Redis at {self._settings.server}"
        try:
            yield
        except OutOfMemoryError as error:
            raise FleetFull(f"{where} has no memory left (maxmemory)") from error
        except AuthenticationError as error:
            raise FleetError(f"{where} refuses the login of AMIGUARD_REDIS_URL") from error
        except NoPermissionError as error:
            raise FleetError(f"{where} does not allow this user what amiguard needs (ACL)") from error
        except ReadOnlyError as error:
            raise FleetError(f"{where} is a replica that takes no changes") from error
        except RedisTimeout as error:
            raise FleetError(f"{where} does not answer") from error
        except ResponseError as error:
            raise FleetError(f"{where} refuses a command: {str(error)[:200]}") from error
        except (RedisError, OSError) as error:
            if isinstance(error.__cause__, AuthenticationError):
                raise FleetError(f"{where} refuses the login of AMIGUARD_REDIS_URL") from error
            raise FleetError(f"{where} can't be reached") from error
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise FleetError(f"{where} answers what was not expected: is it Redis 7 or Valkey?") from error


def _id(name: bytes) -> Id | None:
    if not name:
        return None
    at, _, number = name.partition(b"-")
    return int(at), int(number)
