"""The control interface: HTTP/1.1 and JSON on a Unix socket. `docs/operations.md` describes it.

Errors are `{"error": "one sentence"}`: 400 makes no sense, 404 is not there, 405 not that method, 408 too slow, 409 is
in the allowlist, 413 too much, 503 the kernel refuses."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from amiguard.control.answers import Listing, covering, shown
from amiguard.control.listening import listen
from amiguard.control.requests import BODY, BadRequest, read_ban, read_page
from amiguard.errors import BanRefused, FirewallError, InvalidAddress
from amiguard.journal import Action, Journal
from amiguard.model import Ban, Target, parse_target
from amiguard.ports import Clock

PATIENCE = 5.0
"""Seconds that a client gets for its first request's head, and again for a request's body."""

GRACE = 2.0
"""Seconds that requests in progress get when the server closes."""

KEEPALIVE = 15.0
"""Seconds that a connection may be idle between requests."""

TOO_LARGE = "the body is too large"
"""Python 3.13 changed the standard words of 413, and ours are a public interface."""

STATUS = {BadRequest: 400, InvalidAddress: 400, BanRefused: 409, FirewallError: 503}

QUIET = logging.Logger("amiguard.control", logging.CRITICAL + 1)  # noqa: LOG001 -- aiohttp would tell each client's garbage there; faults of ours are told to the journal


class Controlled(Protocol):
    """What the control interface controls: `administration.Administration`."""

    @property
    def default_bantime(self) -> int | None:
        """How long a ban lasts when nobody says, in milliseconds; None = permanent."""

    def status(self) -> dict[str, object]:
        """Return how it goes, JSON-able; `ready` is a bool."""

    def bans(self) -> Sequence[Ban]:
        """Return the running bans."""

    def find(self, target: Target) -> Ban | None:
        """Return the running ban of this very target."""

    async def ban(self, target: Target, bantime: int | None, comment: str) -> Ban:
        """Ban for `bantime` milliseconds (None = permanent); return after the kernel's acknowledgement.

        Raises:
            BanRefused: the target is in the allowlist.
            FirewallError: the kernel refused.
        """

    async def unban(self, target: Target) -> Ban | None:
        """Let a target through again; None = it was not banned. Raises FirewallError."""

    async def unban_all(self) -> int:
        """Let everybody through again; return how many bans that were. Raises FirewallError."""


class Peer(NamedTuple):
    """Who is at the other end of the socket, as the kernel tells."""

    pid: int
    uid: int


PEER = web.RequestKey("peer", Peer)


class ControlServer:
    """Serves the control interface on the socket at `path`."""

    def __init__(
        self, path: Path, controlled: Controlled, journal: Journal, clock: Clock, *, patience: float = PATIENCE
    ) -> None:
        self._path = path
        self._controlled = controlled
        self._journal = journal
        self._clock = clock
        self._patience = patience
        self._listing = Listing()
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._silent: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    async def start(self) -> None:
        """Open the socket and serve.

        Raises:
            ControlError: another amiguard answers there, or the socket can't be made.
        """
        listener = listen(self._path)
        self._inode = self._path.lstat().st_ino
        app = web.Application(middlewares=[self._answer], client_max_size=BODY)
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/api/v1/status", self._status),
                web.get("/api/v1/bans", self._bans),
                web.post("/api/v1/bans", self._ban),
                web.delete("/api/v1/bans", self._unban_all),
                web.delete("/api/v1/bans/{address:.+}", self._unban),
            ]
        )
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=QUIET,
            keepalive_timeout=KEEPALIVE,
            lingering_time=1.0,
            shutdown_timeout=GRACE,
        )
        await self._runner.setup()
        connected = partial(self._connected, cast("web.Server", self._runner.server))
        self._server = await asyncio.get_running_loop().create_unix_server(connected, sock=listener)

    async def close(self) -> None:
        """Take no more requests, give those in progress a moment, and remove the socket."""
        if self._server is None or self._runner is None:
            return
        self._server.close()
        try:
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()
        except FileNotFoundError:
            pass
        await self._runner.cleanup()
        for connection in list(self._silent):
            self._cut(connection)
        self._server = self._runner = None

    def _connected(self, http: web.Server) -> web.RequestHandler:
        """Make the protocol of a new connection, which is cut when it stays silent: aiohttp would wait for ever."""
        connection = http()
        self._silent[connection] = asyncio.get_running_loop().call_later(self._patience, self._cut, connection)
        return connection

    def _cut(self, connection: web.RequestHandler) -> None:
        self._silent.pop(connection).cancel()
        if connection.transport is not None:
            connection.transport.abort()

    # -- answers ------------------------------------------------------------------------------------------------------

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Give every request an answer in JSON."""
        timer = self._silent.pop(request.protocol, None)
        if timer is not None:
            timer.cancel()
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
            self._journal.write(Action.INTERNAL_ERROR, "a control request failed", error=error)
            return web.json_response({"error": "a mistake in amiguard; its log tells more"}, status=500)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = bool(self._controlled.status().get("ready"))
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self._controlled.status())

    async def _bans(self, request: web.Request) -> web.Response:
        page = read_page(request.query)
        now = self._clock()
        if page.address is None:
            bans, cursor = self._listing.page(self._controlled.bans, self._controlled.find, now, page.after, page.limit)
        else:
            bans, cursor = covering(page.address, self._controlled.find), None
        return web.json_response({"bans": [shown(ban, now) for ban in bans], "cursor": cursor})

    async def _ban(self, request: web.Request) -> web.Response:
        async with asyncio.timeout(self._patience):
            body = await request.read()
        wanted = read_ban(body)
        bantime = self._controlled.default_bantime if wanted.default else wanted.bantime
        try:
            ban = await self._controlled.ban(wanted.target, bantime, wanted.comment)
        except (BanRefused, FirewallError) as error:
            self._told(request, f"ban {wanted.target}", target=wanted.target, outcome="failure", error=error)
            raise
        self._told(request, f"ban {wanted.target}", target=wanted.target, outcome="success")
        return web.json_response(shown(ban, self._clock()), status=201)

    async def _unban(self, request: web.Request) -> web.Response:
        target = parse_target(request.match_info["address"])
        try:
            ban = await self._controlled.unban(target)
        except FirewallError as error:
            self._told(request, f"unban {target}", target=target, outcome="failure", error=error)
            raise
        self._told(request, f"unban {target}", target=target, outcome="success" if ban else "failure")
        if ban is not None:
            return web.json_response(shown(ban, self._clock()))
        around = [wider.target for wider in covering(target, self._controlled.find)]
        hint = f"; {around[0]}, in which it lies, is" if around else ""
        return web.json_response({"error": f"{target} is not banned{hint}"}, status=404)

    async def _unban_all(self, request: web.Request) -> web.Response:
        try:
            count = await self._controlled.unban_all()
        except FirewallError as error:
            self._told(request, "unban everybody", outcome="failure", error=error)
            raise
        self._told(request, "unban everybody", outcome="success", bans=count)
        return web.json_response({"unbanned": count})

    def _told(self, request: web.Request, command: str, **fields: object) -> None:
        peer = request[PEER]
        self._journal.write(Action.CONTROL, command, peer_uid=peer.uid, peer_pid=peer.pid, **fields)


def peer_of(request: web.Request) -> Peer:
    """Return who sent a request; -1 where the connection is gone already."""
    connection = None if request.transport is None else request.transport.get_extra_info("socket")
    if connection is None:
        return Peer(-1, -1)
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(pid, uid)
