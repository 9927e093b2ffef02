"""Gives every request an answer in JSON, whatever goes wrong."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from amiguard.control.audit import PEER, peer_of
from amiguard.control.connections import Connections
from amiguard.control.requests import BadRequest
from amiguard.errors import BanRefused, FirewallError, InvalidAddress
from amiguard.journal import Action, Journal

TOO_LARGE = "the body is too large"
"""Python 3.13 changed the standard words of 413, and ours are a public interface."""

STATUS = {BadRequest: 400, InvalidAddress: 400, BanRefused: 409, FirewallError: 503}


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
        except (BadRequest, InvalidAddress, BanRefused, FirewallError) as error:
            return web.json_response({"error": str(error)}, status=STATUS[type(error)])
        except Exception as error:  # noqa: BLE001 -- one broken request must not end the daemon
            journal.write(Action.INTERNAL_ERROR, "a control request failed", error=error)
            return web.json_response({"error": "a mistake in amiguard; its log tells more"}, status=500)

    return answer
