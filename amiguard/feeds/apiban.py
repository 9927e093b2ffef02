"""APIBAN's list: who attacked its honeypots in the last seven days, 250 addresses an answer.

    GET URL/KEY/banned/100    200 {"ipaddress": ["192.0.2.1", ...], "ID": "1700000000"}    the first of all
    GET URL/KEY/banned/ID     200 the next, and so on; 400 {"ipaddress": ["no new bans"], "ID": "none"}: no more
                              403: the key is unknown; 429: more than 11 requests in two minutes

Source: https://apiban.org/doc.html."""

from __future__ import annotations

import asyncio
import json
import re

import aiohttp

from amiguard.errors import FeedError
from amiguard.feeds.reading import Reading
from amiguard.feeds.settings import FeedSettings
from amiguard.feeds.web import body_of, refuse
from amiguard.web import reason_of, session, trust, where

FIRST = "100"
PAGES = 400
"""Answers of one list, at most: a hundred thousand addresses, more than APIBAN ever had."""

BYTES = 1 << 18
"""Of one answer."""

SECONDS = 30
PAUSE = 12.0
"""Seconds between two requests: eleven in two minutes are allowed."""

NO_MORE, FORBIDDEN = 400, 403
_ID = re.compile(r"[0-9]{1,20}")


class Apiban:
    """The list of everybody, read anew each time: who is not in it any more is let through."""

    trusted = False

    def __init__(self, url: str, key: str, settings: FeedSettings, *, pause: float = PAUSE, pages: int = PAGES) -> None:
        """With fewer `pages` only the beginning of the list is read, to try it."""
        self.where = where(url)
        self._url = f"{url.rstrip('/')}/{key}/banned"
        self._settings = settings
        self._pause = pause
        self._pages = pages

    async def fetch(self, reading: Reading) -> bool:
        """Read the whole list, in some minutes if it is long.

        Raises:
            FeedError: a part of it can't be had, or is none.
        """
        page, seen = FIRST, {FIRST}
        async with session(self._settings.version, await trust()) as opened:
            while (following := await self._page(opened, page, reading)) and len(seen) != self._pages:
                if following in seen:
                    raise FeedError(f"{self.where}: the list never ends")
                page = following
                seen.add(page)
                await asyncio.sleep(self._pause)
        reading.finish()
        return True

    def accept(self) -> None:
        """Do nothing: there is no telling whether the list has changed."""

    def forget(self) -> None:
        """Do nothing: it is read as a whole each time."""

    async def _page(self, opened: aiohttp.ClientSession, page: str, reading: Reading) -> str | None:
        """Read a part of the list; return the name of the next, None: there is none."""
        try:
            async with (
                asyncio.timeout(SECONDS),
                opened.get(f"{self._url}/{page}", allow_redirects=False) as response,
            ):
                body = await body_of(response, BYTES, self.where)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FeedError(f"{self.where}: {reason_of(error, SECONDS)}") from None  # its text may hold the key
        if response.status == FORBIDDEN:
            raise FeedError(f"{self.where}: it does not know the key (AMIGUARD_APIBAN_KEY)")
        if response.status != NO_MORE:
            refuse(response, self.where)
        addresses, following = _parts(body)
        if response.status == NO_MORE and following == "none":
            return None
        if response.status == NO_MORE or not addresses or not _ID.fullmatch(following):
            raise FeedError(f"{self.where}: the answer is not as APIBAN's are")
        for address in addresses:
            reading.name(address)
        return following


def _parts(body: bytes) -> tuple[list[str], str]:
    """Return the addresses of an answer and the name of the next part; nothing where it is no such answer."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return [], ""
    if not isinstance(told, dict):
        return [], ""
    addresses, following = told.get("ipaddress"), told.get("ID")
    if not isinstance(addresses, list) or not isinstance(following, str):
        return [], ""
    return [one for one in addresses if isinstance(one, str)], following
