"""What all clients of HTTP have in common: whom to trust, how long to wait, and what to say of a failure.

A URL may hold a token, so neither it nor what aiohttp says of it reaches an error: only scheme, host and port do."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp


def trust(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return whom to trust; without a file, whom the operating system does. Raises OSError, ssl.SSLError."""
    return ssl.create_default_context(cafile=ca_file)


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
        case aiohttp.ClientResponseError():
            why = "its answer is no HTTP"
        case _:
            why = type(error).__name__
    return why
