"""Asks the running daemon over its control socket."""

from __future__ import annotations

import errno
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Self, cast
from urllib.parse import quote

import aiohttp

from amiguard.errors import ControlError
from amiguard.model import Address, Target

PAGE = 1_000
ANSWER_WITHIN = 30.0
"""Seconds: a ban is answered only after the kernel's acknowledgement."""

SILENCE = 60.0
"""Seconds: while nothing happens, the daemon sends a sign of life every fifteen."""

LINE = 256 * 1024
"""Bytes of the longest line of the journal, and more."""

END = b"\n\n"
"""What ends an event."""

REMEDIES = {
    errno.ENOENT: "there is no such socket: is amiguard running, and AMIGUARD_CONTROL_SOCKET the same here and there?",
    errno.ECONNREFUSED: "nobody answers: is amiguard running?",
    errno.EACCES: "you may not: use sudo, or join the socket's group",
    errno.EPERM: "you may not: use sudo, or join the socket's group",
}

Answer = dict[str, Any]


class Event(NamedTuple):
    """One of the live events: of kind "" a line of the journal, of kind `lost` how many lines are missing here."""

    kind: str
    data: Answer


class RequestRefused(ControlError):
    """The daemon answered, and the answer is no. `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ControlClient:
    """Talks to the daemon at `path`. Every method raises `ControlError`: the daemon can't be reached, or answers
    nonsense; and `RequestRefused`: it says no.

    As a context manager, it asks over one connection, which is faster where much is asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = self._connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def status(self) -> Answer:
        """Return how the daemon is."""
        return await self._ask("GET", "/api/v1/status")

    async def bans(self, address: Target | None = None) -> AsyncIterator[Answer]:
        """Tell every running ban, or those that `address` falls under."""
        query: dict[str, str] = {"limit": str(PAGE)} if address is None else {"address": address}
        while True:
            page = await self._ask("GET", "/api/v1/bans", query=query)
            for ban in page["bans"]:
                yield ban
            if page["cursor"] is None:
                return
            query["cursor"] = page["cursor"]

    async def ban(self, target: Target, seconds: int | None, reason: str, *, force: bool = False) -> Answer:
        """Ban for `seconds` (-1 = permanent, None = as configured) and return the ban."""
        body = {"address": target, "reason": reason, "force": force} | ({} if seconds is None else {"time": seconds})
        return await self._ask("POST", "/api/v1/bans", body=body)

    async def unban(self, target: Target) -> Answer:
        """Lift a ban and return it."""
        return await self._ask("DELETE", f"/api/v1/bans/{quote(target, safe=':')}")

    async def unban_all(self) -> int:
        """Lift every ban; return how many there were."""
        return int((await self._ask("DELETE", "/api/v1/bans"))["unbanned"])

    async def allowed(self) -> list[Answer]:
        """Tell who is never banned."""
        return cast("list[Answer]", (await self._ask("GET", "/api/v1/allow"))["allowed"])

    async def allow(self, target: Target, comment: str) -> Answer:
        """Never ban a target; return it with the bans that this lifted."""
        return await self._ask("POST", "/api/v1/allow", body={"address": target, "comment": comment})

    async def disallow(self, target: Target) -> Answer:
        """Take back what `allow` did."""
        return await self._ask("DELETE", f"/api/v1/allow/{quote(target, safe=':')}")

    async def offender(self, address: Address) -> Answer:
        """Tell everything that is known of an address."""
        return await self._ask("GET", f"/api/v1/offenders/{quote(address, safe=':')}")

    async def reload(self) -> list[str]:
        """Let the daemon read its settings anew; return which variables changed."""
        return list((await self._ask("POST", "/api/v1/reload", body={}))["changed"])

    async def events(self) -> AsyncIterator[Event]:
        """Tell each line of the journal as it is written, the last few first, until the daemon ends."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_WITHIN, sock_read=SILENCE)
        with self._translated():
            async with self._connect(timeout) as session, session.get("http://amiguard/api/v1/events") as response:
                if not response.ok:
                    answer = await response.json(content_type=None)
                    raise RequestRefused(str(answer.get("error", response.reason)), response.status)
                async for block in blocks(response.content):
                    fields = dict(line.partition(": ")[::2] for line in block.splitlines())
                    if data := fields.get("data"):
                        yield Event(fields.get("event", ""), json.loads(data))

    async def _ask(
        self, method: str, route: str, *, query: dict[str, str] | None = None, body: Answer | None = None
    ) -> Answer:
        with self._translated():
            async with (
                nullcontext(self._session) if self._session else self._connect() as session,
                session.request(method, f"http://amiguard{route}", params=query, json=body) as response,
            ):
                answer = await response.json(content_type=None)
        if not isinstance(answer, dict):
            raise ControlError(f"what answers on {self._path} is no amiguard")
        if not response.ok:
            problems = "".join(f"; {problem}" for problem in answer.get("problems", []))
            raise RequestRefused(f"{answer.get('error', response.reason)}{problems}", response.status)
        return answer

    def _connect(self, timeout: aiohttp.ClientTimeout | None = None) -> aiohttp.ClientSession:
        connector = aiohttp.UnixConnector(str(self._path))
        return aiohttp.ClientSession(
            connector=connector, timeout=timeout or aiohttp.ClientTimeout(total=ANSWER_WITHIN), read_bufsize=LINE
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what goes wrong on the way into `ControlError`."""
        try:
            yield
        except aiohttp.ClientConnectorError as error:
            remedy = REMEDIES.get(error.errno or 0) or error.strerror or error.os_error
            raise ControlError(f"the daemon can't be reached at {self._path}: {remedy}") from error
        except TimeoutError as error:
            raise ControlError(f"the daemon at {self._path} does not answer within {ANSWER_WITHIN:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ControlError(f"the daemon at {self._path} broke off: {error}") from error
        except ValueError as error:
            raise ControlError(f"what answers on {self._path} is no amiguard") from error


async def blocks(content: aiohttp.StreamReader) -> AsyncIterator[str]:
    """Return the server-sent events of an answer, each with the blank line behind it."""
    while (block := await content.readuntil(END)).endswith(END):
        yield block.decode()
