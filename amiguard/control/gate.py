"""Who may ask: over TCP whoever knows the token, or this machine alone; and never a web page of somebody else's.

A page that an administrator looks at can have his browser send requests to any address, also to this one. It can't
choose the headers `Origin` and `Sec-Fetch-Site`, can't send JSON without asking first (CORS, which is never granted),
and where it makes its own name resolve to our address (DNS rebinding), `Host` still tells that name."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from amiguard.control.token import Token
from amiguard.errors import AmiguardError

OPEN = ("/healthz", "/readyz")
"""What needs no token, for it tells nothing: orchestrators ask it. So does the page, which asks for the token."""

OURS = {"same-origin", "none"}
"""Values of `Sec-Fetch-Site` where a browser was not sent here by another site: https://www.w3.org/TR/fetch-metadata/"""


class Refused(AmiguardError):
    """A request that may not be answered; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@web.middleware
async def no_other_site(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a page of another site has a browser send, and commands that are no JSON."""
    origin = request.headers.getall("Origin", [])
    if origin and {_authority(one) for one in origin} != set(request.headers.getall("Host", [])):
        raise Refused("this request comes from another site's page", 403)
    navigates = request.method == "GET" and is_page(request.path)
    if not navigates and request.headers.get("Sec-Fetch-Site", "none") not in OURS:
        raise Refused("this request comes from another site's page", 403)
    served = request.match_info.http_exception is None
    if served and request.method == "POST" and request.content_type != "application/json":
        raise Refused("the body must be JSON: Content-Type: application/json", 415)
    return await handler(request)


def admitting(token: Token) -> Middleware:
    """Return the middleware for TCP: who shows the token may; where there is none, who names a loopback host."""

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not token.value:
            if not _is_loopback(request.headers.getall("Host", [])):
                raise Refused("this is another host; without AMIGUARD_HTTP_TOKEN only loopback addresses are", 421)
        elif not (
            request.path in OPEN or is_page(request.path) or _shows(token.value, request.headers.getall(AUTH, []))
        ):
            raise Refused("who asks must show the token: Authorization: Bearer TOKEN", 401)
        return await handler(request)

    return admit


AUTH = "Authorization"

_KEY = secrets.token_bytes()


def is_page(path: str) -> bool:
    """Whether a path is the page or a part of it: the same for everybody."""
    return path == "/" or path.startswith("/page/")


def _shows(token: str, values: Iterable[str]) -> bool:
    """Compare in a time that tells neither how much is right nor how long the token is: digests, whole ones."""
    expected = _digest(f"Bearer {token}")
    return any(hmac.compare_digest(_digest(value), expected) for value in values)


def _digest(text: str) -> bytes:
    """Return what nobody can foresee who does not know the key; of equal length whatever the text."""
    return hmac.digest(_KEY, text.encode("utf-8", "surrogateescape"), "sha256")


def _authority(origin: str) -> str:
    """Return the host and port of an `Origin`; "" where it is none, as `null`."""
    return origin.partition("://")[2]


def _is_loopback(hosts: list[str]) -> bool:
    try:
        (host,) = hosts
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
