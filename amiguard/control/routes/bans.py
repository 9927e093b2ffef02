"""`/api/v1/bans`: who is banned, and to change that."""

from __future__ import annotations

import asyncio

from aiohttp import web

from amiguard.control.answers import Listing, covering, shown
from amiguard.control.audit import Audit
from amiguard.control.controlled import Controlled
from amiguard.control.requests import read_ban, read_page
from amiguard.model import parse_target
from amiguard.ports import Clock


class BanRoutes:
    """The bans; a request's body must come within `patience` seconds."""

    def __init__(self, controlled: Controlled, audit: Audit, clock: Clock, patience: float) -> None:
        self._controlled = controlled
        self._audit = audit
        self._clock = clock
        self._patience = patience
        self._listing = Listing()

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/v1/bans", self._bans),
            web.post("/api/v1/bans", self._ban),
            web.delete("/api/v1/bans", self._unban_all),
            web.delete("/api/v1/bans/{address:.+}", self._unban),
        ]

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
        with self._audit.refusals(request, f"ban {wanted.target}", target=wanted.target):
            ban = await self._controlled.ban(wanted.target, bantime, wanted.comment)
        self._audit.told(request, f"ban {wanted.target}", target=wanted.target)
        return web.json_response(shown(ban, self._clock()), status=201)

    async def _unban(self, request: web.Request) -> web.Response:
        target = parse_target(request.match_info["address"])
        with self._audit.refusals(request, f"unban {target}", target=target):
            ban = await self._controlled.unban(target)
        self._audit.told(request, f"unban {target}", target=target, outcome="success" if ban else "failure")
        if ban is not None:
            return web.json_response(shown(ban, self._clock()))
        around = [wider.target for wider in covering(target, self._controlled.find)]
        hint = f"; {around[0]}, in which it lies, is" if around else ""
        return web.json_response({"error": f"{target} is not banned{hint}"}, status=404)

    async def _unban_all(self, request: web.Request) -> web.Response:
        with self._audit.refusals(request, "unban everybody"):
            count = await self._controlled.unban_all()
        self._audit.told(request, "unban everybody", bans=count)
        return web.json_response({"unbanned": count})
