"""Requests to CrowdSec's local API. Errors are translated here; none holds a key, a password or a token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import aiohttp

from amiguard.errors import FeedError
from amiguard.feeds.crowdsec.decisions import SCENARIO
from amiguard.feeds.crowdsec.settings import CrowdSecSettings
from amiguard.feeds.web import body_of
from amiguard.web import reason_of, session, trust, wait_of, where

MOST = 64 << 20
"""Bytes of an answer: some 300,000 decisions."""

SMALL = 1 << 16
"""Bytes of any other answer."""

LONGEST_WAIT = 3600
"""Seconds that it may ask us to wait."""

FORBIDDEN, UNAUTHORIZED = 403, 401
FINAL = frozenset({400, 404, 405, 413, 422})
"""Answers that the same request would get again."""


class Unauthorized(FeedError):
    """The key is unknown, or the token is not valid any more."""


class Refused(FeedError):
    """It will never take this."""


class Failing(FeedError):
    """It answers that it can't do this now."""


class Lapi:
    """CrowdSec's local API, over connections that are kept."""

    def __init__(self, session: aiohttp.ClientSession, settings: CrowdSecSettings) -> None:
        self._session = session
        self._settings = settings
        self._url = settings.url.rstrip("/")
        self._where = where(settings.url)
        self._token = ""

    async def decisions(self, *, startup: bool) -> str:
        """Return the answer of the decision stream: everything that is in force, or what changed since the last time.

        Raises:
            FeedError: it can't be had.
        """
        answer = await self._as_bouncer(f"/v1/decisions/stream?startup={str(startup).lower()}")
        return answer.decode(errors="replace")

    async def try_key(self) -> None:
        """Find out whether the bouncer's key is known. Raises FeedError."""
        await self._as_bouncer("/v1/decisions?ip=192.0.2.1")

    async def tell(self, alerts: Sequence[Mapping[str, object]]) -> None:
        """Hand alerts over. Raises Refused: these it never takes; FeedError: not now."""
        await self._as_machine("POST", "/v1/alerts", list(alerts))

    async def lift(self, value: str, scenario: str) -> None:
        """Delete amiguard's decisions about an address or network, and nobody else's. Raises as `tell`."""
        query = urlencode({"value": value, "scenario": scenario})
        await self._as_machine("DELETE", f"/v1/decisions?{query}", None)

    async def login(self) -> None:
        """Get a token for this machine. Raises FeedError."""
        settings = self._settings
        login = {"machine_id": settings.machine, "password": settings.password, "scenarios": [SCENARIO.rstrip("/")]}
        try:
            body = json.loads(await self._ask("POST", "/v1/watchers/login", {}, login))
        except Unauthorized as error:
            unknown = "it does not know the machine (AMIGUARD_CROWDSEC_MACHINE, AMIGUARD_CROWDSEC_PASSWORD)"
            raise FeedError(f"{self._where}: {unknown}") from error
        except (ValueError, RecursionError):
            body = None
        token = body.get("token") if isinstance(body, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise FeedError(f"{self._where}: the answer to the login is not as CrowdSec's are")
        self._token = token

    async def _as_bouncer(self, path: str) -> bytes:
        try:
            return await self._ask("GET", path, {"X-Api-Key": self._settings.key}, most=MOST)
        except Unauthorized as error:
            raise FeedError(f"{self._where}: it does not know the key (AMIGUARD_CROWDSEC_API_KEY)") from error

    async def _as_machine(self, method: str, path: str, body: object) -> None:
        if not self._token:
            await self.login()
        try:
            await self._ask(method, path, {"Authorization": f"Bearer {self._token}"}, body)
        except Unauthorized:
            self._token = ""
            raise

    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: object = None, *, most: int = SMALL
    ) -> bytes:
        seconds = self._settings.timeout
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.request(
                    method, f"{self._url}{path}", json=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                self._refuse(response)
                return await body_of(response, most, self._where)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FeedError(f"{self._where}: {reason_of(error, seconds)}") from None

    def _refuse(self, response: aiohttp.ClientResponse) -> None:
        status, text = response.status, f"{self._where}: HTTP status {response.status}"
        if status in {FORBIDDEN, UNAUTHORIZED}:
            raise Unauthorized(text)
        if status in FINAL:
            raise Refused(text)
        if not 200 <= status < 300:  # noqa: PLR2004 -- HTTP's successes
            raise Failing(text, wait_of(response.headers.get("Retry-After", ""), LONGEST_WAIT))
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise FeedError(f"{self._where}: the answer is compressed, which nobody asked for")


@asynccontextmanager
async def lapi(settings: CrowdSecSettings) -> AsyncIterator[Lapi]:
    """Open it; close it at the end. Raises FeedError: the certificates to trust can't be read."""
    try:
        context = await trust(settings.ca_file)
    except OSError as error:
        raise FeedError(f"can't read the certificates in {settings.ca_file}: {type(error).__name__}") from error
    async with session(settings.version, context) as opened:
        yield Lapi(opened, settings)


async def probe(settings: CrowdSecSettings) -> str:
    """Try the logins, for `amiguard check`; return one line.

    The stream of decisions is left alone: CrowdSec would tell the daemon, which has the same key, only what is newer.

    Raises:
        FeedError: it does not work, and why.
    """
    async with lapi(settings) as opened:
        if settings.machine:
            await opened.login()
        if settings.key:
            await opened.try_key()
    known = ["the machine"] * bool(settings.machine) + ["the key"] * bool(settings.key)
    return f"{where(settings.url)} knows {' and '.join(known)}"
