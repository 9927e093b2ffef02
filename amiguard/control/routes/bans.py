"""`/api/v1/bans`: who is banned, and to change that."""

from __future__ import annotations

import json

from aiohttp import web

from amiguard.answers import covering, dropped, located, shown
from amiguard.control.audit import Audit
from amiguard.control.bodies import in_parts
from amiguard.control.controlled import Controlled
from amiguard.control.listing import Listing
from amiguard.control.requests import read_ban, read_body, read_page
from amiguard.model import Ban, parse_target
from amiguard.ports import Clock


class BanRoutes:
    """The bans."""

    def __init__(self, controlled: Controlled, audit: Audit, clock: Clock, patience: float) -> None:
        self._controlled = controlled
        self._audit = audit
        self._clock = clock
        self._patience = patience
        self._listing = Listing(controlled.bans, controlled.find)

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/v1/bans", self._bans),
            web.post("/api/v1/bans", self._ban),
            web.delete("/api/v1/bans", self._unban_all),
            web.delete("/api/v1/bans/{address:.+}", self._unban),
        ]

    async def _bans(self, request: web.Request) -> web.Response:
        wanted = read_page(request.query)
        now = self._clock()
        if wanted.address is None:
            bans, cursor = self._listing.page(now, wanted.cursor, wanted.limit)
        else:
            bans, cursor = covering(wanted.address, self._controlled.find), None
        targets = [ban.target for ban in bans]
        drops, countries = await self._controlled.drops(targets), await self._controlled.countries(targets)
        told = await in_parts(
            bans,
            lambda ban: shown(ban, now) | dropped(drops.get(ban.target)) | located(countries.get(ban.target)),
        )
        text = f'{{"bans": [{told}], "cursor": {json.dumps(cursor)}}}'
        return web.Response(text=text, content_type="application/json")

    async def _ban(self, request: web.Request) -> web.Response:
        wanted = read_ban(await read_body(request, self._patience))
        bantime = self._controlled.default_bantime if wanted.default else wanted.bantime
        with self._audit.refusals(request, f"ban {wanted.target}", target=wanted.target):
            ban = await self._controlled.ban(wanted.target, bantime, wanted.comment, force=wanted.force)
        self._listing.changed()
        self._audit.told(request, f"ban {wanted.target}", target=wanted.target)
        return web.json_response(await self._one(ban), status=201)

    async def _unban(self, request: web.Request) -> web.Response:
        target = parse_target(request.match_info["address"])
        with self._audit.refusals(request, f"unban {target}", target=target):
            ban = await self._controlled.unban(target)
        self._listing.changed()
        self._audit.told(request, f"unban {target}", target=target, outcome="success" if ban else "failure")
        if ban is not None:
            return web.json_response(await self._one(ban))
        around = [wider.target for wider in covering(target, self._controlled.find)]
        hint = f"; {around[0]}, in which it lies, is" if around else ""
        return web.json_response({"error": f"{target} is not banned{hint}"}, status=404)

    async def _unban_all(self, request: web.Request) -> web.Response:
        with self._audit.refusals(request, "unban everybody"):
            count = await self._controlled.unban_all()
        self._listing.changed()
        self._audit.told(request, "unban everybody", bans=count)
        return web.json_response({"unbanned": count})

    async def _one(self, ban: Ban) -> dict[str, object]:
        """Return a ban that was just set or lifted: nothing of it is counted."""
        countries = await self._controlled.countries([ban.target])
        return shown(ban, self._clock()) | located(countries.get(ban.target))
