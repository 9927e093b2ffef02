"""What all clients of HTTP have in common: whom to trust, how long to wait, and what to say of a failure.

A URL may hold a token, so neither it nor what aiohttp says of it reaches an error: only scheme, host and port do."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import aiohttp

CONNECTING = 30
"""Seconds that a connection may take, where a caller gives an answer more than that."""


async def trust(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return whom to trust; without a file, whom the operating system does. Raises OSError: it can't be read.

    In a thread, for that takes 20 ms, and anew each time, so that renewed certificates count."""
    return await asyncio.to_thread(ssl.create_default_context, cafile=ca_file)


def session(version: str, context: ssl.SSLContext | Literal[True] = True) -> aiohttp.ClientSession:
    """Return what makes requests over one connection, whose whole time the caller bounds.

    True: whoever the operating system trusted when amiguard was started."""
    return aiohttp.ClientSession(
        # A connection is kept for less than any server keeps it: one that ends just then would cost a try.
        connector=aiohttp.TCPConnector(limit=1, ssl=context, keepalive_timeout=3),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING),
        headers={"User-Agent": f"amiguard/{version}", "Accept-Encoding": "identity"},
        auto_decompress=False,  # of a compressed answer nobody knows how large it is
    )


def wait_of(retry_after: str, longest: float) -> float:
    """Return the seconds of a Retry-After header (RFC 9110 section 10.2.3), bounded; a date counts as nothing."""
    return min(float(retry_after), longest) if re.fullmatch(r"[0-9]{1,9}", retry_after) else 0.0


def where(url: str) -> str:
    """Return the part of a URL that holds no secret: `https://chat.example.org`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def reason_of(error: Exception, timeout: float) -> str:
    """Return why there was no answer within `timeout` seconds, by the type of what aiohttp raised."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            why = f"no connection within {CONNECTING} s"
        case TimeoutError():
            why = f"no answer within {timeout:g} s"
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            why = "its certificate can't be trusted"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            why = "it does not speak TLS as we do"
        case aiohttp.ClientConnectorDNSError():
            why = "its name can't be resolved"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            why = "it closed the connection"
        case aiohttp.ClientOSError(errno=int(number)) | OSError(errno=int(number)):
            why = os.strerror(number)
        case aiohttp.TooManyRedirects():
            why = "it redirects on and on"
        case aiohttp.ClientResponseError():
            why = "its answer is no HTTP"
        case _:
            why = type(error).__name__
    return why
