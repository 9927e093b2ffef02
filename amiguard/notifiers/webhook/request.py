"""One HTTP request: hands a body over and reads no more of the answer than its status. Its errors are translated
here."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from amiguard.errors import NotifierError
from amiguard.notifiers.settings import WebhookSettings
from amiguard.web import reason_of, session, trust, wait_of, where

LONGEST_WAIT = 300
"""Seconds that a receiver may ask us to wait."""
AGAIN = frozenset({408, 425, 429, *range(500, 600)})
"""Answers after which the same request may succeed later (RFC 9110, RFC 8470, RFC 6585)."""


JSON = {"Content-Type": "application/json"}


class NotTaken(NotifierError):
    """The receiver answered, but has not taken the message. A redirect is permanent: it could lead anywhere."""


class Line:
    """A connection to the receiver, opened when it is needed and kept between requests."""

    def __init__(self, session: aiohttp.ClientSession, settings: WebhookSettings) -> None:
        self._session = session
        self._settings = settings

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        """Hand `body` over.

        Raises:
            NotTaken: the receiver refused it, for good or for now.
            NotifierError: there was no answer.
        """
        try:
            async with (
                asyncio.timeout(self._settings.timeout),
                self._session.post(url, data=body, headers=JSON | headers, allow_redirects=False) as response,
            ):
                status, wait = response.status, wait_of(response.headers.get("Retry-After", ""), LONGEST_WAIT)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise fault(error, self._settings) from None  # its text may hold the URL
        if not 200 <= status < 300:  # noqa: PLR2004 -- HTTP's successes
            text = f"{where(self._settings.url)}: HTTP status {status}"
            raise NotTaken(text, permanent=status not in AGAIN, wait=wait)


@asynccontextmanager
async def line(settings: WebhookSettings) -> AsyncIterator[Line]:
    """Open a line; close it at the end.

    Raises:
        NotifierError: the certificates to trust can't be read.
    """
    async with session(settings.version, await trusted(settings.ca_file)) as opened:
        yield Line(opened, settings)


async def trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Return whom to trust. Raises NotifierError."""
    try:
        return await trust(ca_file)
    except OSError as error:
        raise NotifierError(f"can't read the certificates in {ca_file}: {type(error).__name__}") from error


def fault(error: Exception, settings: WebhookSettings) -> NotifierError:
    """Return why there was no answer."""
    return NotifierError(f"{where(settings.url)}: {reason_of(error, settings.timeout)}")


async def probe(settings: WebhookSettings) -> str:
    """Connect and send nothing, for `amiguard check`; return one line.

    Raises:
        NotifierError: the webhook would not work now, and why.
    """
    parts = urlsplit(settings.url)
    secure = parts.scheme == "https"
    context = await trusted(settings.ca_file) if secure else None
    try:
        async with asyncio.timeout(settings.timeout):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or (443 if secure else 80), ssl=context
            )
            writer.close()
    except OSError as error:
        raise fault(error, settings) from None
    return f"{where(settings.url)} takes connections; nothing was posted"
