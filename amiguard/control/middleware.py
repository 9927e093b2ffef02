"""Gives every request an answer in JSON, whatever goes wrong."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from amiguard.control.audit import PEER, peer_of
from amiguard.control.connections import Connections
from amiguard.control.gate import Refused
from amiguard.control.listing import ListingExpired
from amiguard.control.requests import BadRequest
from amiguard.control.stream import TooManyWatchers
from amiguard.errors import AmiguardError, BanRefused, FirewallError, InvalidAddress
from amiguard.journal import Action, Journal

TOO_LARGE = "the body is too large"
"""Python 3.13 changed the standard words of 413, and ours are a public interface."""

STATUS: dict[type[AmiguardError], int] = {
    BadRequest: 400,
    InvalidAddress: 400,
    BanRefused: 409,
    ListingExpired: 410,
    FirewallError: 503,
    TooManyWatchers: 503,
}

UNAUTHORIZED = 401

POLICY = (  # https://www.w3.org/TR/CSP3/
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer: what a browser may do with it."""


async def protect(_: web.Request, response: web.StreamResponse) -> None:
    """Add `HEADERS` to an answer that is about to be sent."""
    response.headers.update(HEADERS)


def answering(connections: Connections, journal: Journal) -> Middleware:
    """Return the outermost middleware: it knows the peer, and turns errors into answers."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        connections.spoke(request.protocol)
        request[PEER] = peer_of(request)
        try:
            return await handler(request)
        except web.HTTPException as error:
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            text = TOO_LARGE if isinstance(error, web.HTTPRequestEntityTooLarge) else error.reason
            return web.json_response({"error": text}, status=error.status, headers=allow)
        except TimeoutError:
            return web.json_response({"error": "the request took too long"}, status=408)
        except Refused as error:
            challenge = {"WWW-Authenticate": "Bearer"} if error.status == UNAUTHORIZED else {}
            return web.json_response({"error": str(error)}, status=error.status, headers=challenge)
        except tuple(STATUS) as error:
            return web.json_response({"error": str(error)}, status=STATUS[type(error)])
        except Exception as error:  # noqa: BLE001 -- one broken request must not end the daemon
            journal.write(Action.INTERNAL_ERROR, "a control request failed", error=error)
            return web.json_response({"error": "a mistake in amiguard; its log tells more"}, status=500)

    return answer
