"""A list at a URL. It is read as it arrives, a few thousand bytes at a time, and never held as a whole."""

from __future__ import annotations

import asyncio

import aiohttp

from amiguard.errors import FeedError
from amiguard.feeds.reading import BYTES, CHUNK, Reading
from amiguard.feeds.settings import FeedSettings
from amiguard.web import reason_of, session, trust, wait_of, where

LONGEST_WAIT = 86_400
"""Seconds that a server may ask us to wait."""

NOT_MODIFIED = 304
BUSY = frozenset({429, 503})
"""Answers that may say when to come back (RFC 6585, RFC 9110)."""


def refuse(response: aiohttp.ClientResponse, place: str) -> None:
    """Raise FeedError unless there is a plain answer."""
    if response.status in BUSY:
        wait = wait_of(response.headers.get("Retry-After", ""), LONGEST_WAIT)
        raise FeedError(f"{place}: HTTP status {response.status}", wait)
    if response.status != 200:  # noqa: PLR2004 -- HTTP's OK
        raise FeedError(f"{place}: HTTP status {response.status}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise FeedError(f"{place}: the answer is compressed, which nobody asked for")


async def body_of(response: aiohttp.ClientResponse, most: int, place: str) -> bytes:
    """Return a whole answer. Raises FeedError: it is longer than `most` bytes; and what aiohttp raises."""
    parts, taken = [], 0
    async for part in response.content.iter_chunked(CHUNK):
        taken += len(part)
        if taken > most:
            raise FeedError(f"{place}: the answer has more than {most:,} bytes")
        parts.append(part)
    return b"".join(parts)


class Web:
    """The list at one URL, and what its server said to tell one version of it from the next."""

    trusted = False

    def __init__(self, url: str, settings: FeedSettings) -> None:
        self.where = where(url)
        self._url = url
        self._settings = settings
        self._known: dict[str, str] = {}
        self._told: dict[str, str] = {}

    async def fetch(self, reading: Reading) -> bool:
        """Read the list; False: it is the same as the one that was accepted.

        Raises:
            FeedError: it can't be had, it is cut off, or it is no list.
        """
        seconds = self._settings.timeout
        try:
            async with (
                asyncio.timeout(seconds),
                session(self._settings.version, await trust()) as opened,
                opened.get(self._url, headers=self._known, max_redirects=3) as response,
            ):
                return await self._read(response, reading)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FeedError(f"{self.where}: {reason_of(error, seconds)}") from None  # its text may hold the URL

    def accept(self) -> None:
        """Ask from now on whether anything has changed since what was read last."""
        self._known = self._told

    def forget(self) -> None:
        """Ask for the list as if it had never been had."""
        self._known = {}

    async def _read(self, response: aiohttp.ClientResponse, reading: Reading) -> bool:
        if self._url.startswith("https:") and any(
            answer.url.scheme != "https" for answer in (*response.history, response)
        ):
            raise FeedError(f"{self.where}: it leads away from https")
        if response.status == NOT_MODIFIED and self._known:
            return False
        refuse(response, self.where)
        if response.content_type == "text/html":
            raise FeedError(f"{self.where}: it is a page of HTML, not a list")
        most = self._settings.limit * BYTES
        taken = 0
        async for chunk in response.content.iter_chunked(CHUNK):
            taken += len(chunk)
            if taken > most:
                raise FeedError(f"{self.where}: it has more than {most:,} bytes")
            reading.feed(chunk)
            await asyncio.sleep(0)
        reading.finish(whole=response.content_length is not None or "Transfer-Encoding" in response.headers)
        tags = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
        self._told = {ask: response.headers[tag] for ask, tag in tags.items() if tag in response.headers}
        return True
