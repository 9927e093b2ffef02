"""Asks the running daemon over its control socket."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from amiguard.errors import ControlError
from amiguard.model import Target

PAGE = 1_000
ANSWER_WITHIN = 30.0
"""Seconds: a ban is answered only after the kernel's acknowledgement."""

REMEDIES = {
    errno.ENOENT: "there is no such socket: is amiguard running, and AMIGUARD_CONTROL_SOCKET the same here and there?",
    errno.ECONNREFUSED: "nobody answers: is amiguard running?",
    errno.EACCES: "you may not: use sudo, or join the socket's group",
    errno.EPERM: "you may not: use sudo, or join the socket's group",
}

Answer = dict[str, Any]


class RequestRefused(ControlError):
    """The daemon answered, and the answer is no. `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ControlClient:
    """Talks to the daemon at `path`. Every method raises `ControlError`: the daemon can't be reached, or answers
    nonsense; and `RequestRefused`: it says no."""

    def __init__(self, path: Path) -> None:
        self._path = path

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

    async def ban(self, target: Target, seconds: int | None, reason: str) -> Answer:
        """Ban for `seconds` (-1 = permanent, None = as configured) and return the ban."""
        body = {"address": target, "reason": reason} | ({} if seconds is None else {"time": seconds})
        return await self._ask("POST", "/api/v1/bans", body=body)

    async def unban(self, target: Target) -> Answer:
        """Lift a ban and return it."""
        return await self._ask("DELETE", f"/api/v1/bans/{quote(target, safe=':')}")

    async def unban_all(self) -> int:
        """Lift every ban; return how many there were."""
        return int((await self._ask("DELETE", "/api/v1/bans"))["unbanned"])

    async def _ask(
        self, method: str, route: str, *, query: dict[str, str] | None = None, body: Answer | None = None
    ) -> Answer:
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(str(self._path)),
                    timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN),
                ) as session,
                session.request(method, f"http://amiguard{route}", params=query, json=body) as response,
            ):
                answer = await response.json(content_type=None)
        except aiohttp.ClientConnectorError as error:
            remedy = REMEDIES.get(error.errno or 0) or error.strerror or error.os_error
            raise ControlError(f"the daemon can't be reached at {self._path}: {remedy}") from error
        except TimeoutError as error:
            raise ControlError(f"the daemon at {self._path} does not answer within {ANSWER_WITHIN:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ControlError(f"the daemon at {self._path} broke off: {error}") from error
        except ValueError as error:
            raise ControlError(f"what answers on {self._path} is no amiguard") from error
        if not isinstance(answer, dict):
            raise ControlError(f"what answers on {self._path} is no amiguard")
        if not response.ok:
            raise RequestRefused(str(answer.get("error", response.reason)), response.status)
        return answer
