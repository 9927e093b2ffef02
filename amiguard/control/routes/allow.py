"""`/api/v1/allow`: who is never banned, and to change that."""

from __future__ import annotations

import json

from aiohttp import web

from amiguard.answers import iso, located, shown
from amiguard.control.audit import Audit
from amiguard.control.bodies import in_parts
from amiguard.control.controlled import Controlled
from amiguard.control.requests import read_allow, read_body
from amiguard.model import Allowed, parse_target
from amiguard.ports import Clock


class AllowRoutes:
    """The allowlist."""

    def __init__(self, controlled: Controlled, audit: Audit, clock: Clock, patience: float) -> None:
        self._controlled = controlled
        self._audit = audit
        self._clock = clock
        self._patience = patience

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/v1/allow", self._allowed),
            web.post("/api/v1/allow", self._allow),
            web.delete("/api/v1/allow/{address:.+}", self._disallow),
        ]

    async def _allowed(self, _: web.Request) -> web.Response:
        told = await in_parts(self._controlled.allowed(), described)
        return web.Response(text=f'{{"allowed": [{told}]}}', content_type="application/json")

    async def _allow(self, request: web.Request) -> web.Response:
        target, comment = read_allow(await read_body(request, self._patience))
        with self._audit.refusals(request, f"allow {target}", target=target):
            lifted = await self._controlled.allow(target, comment)
        self._audit.told(request, f"allow {target}", target=target, bans=len(lifted))
        countries, now = await self._controlled.countries([ban.target for ban in lifted]), self._clock()
        told = await in_parts(lifted, lambda ban: shown(ban, now) | located(countries.get(ban.target)))
        text = f'{{"address": {json.dumps(target)}, "lifted": [{told}]}}'
        return web.Response(text=text, content_type="application/json", status=201)

    async def _disallow(self, request: web.Request) -> web.Response:
        target = parse_target(request.match_info["address"])
        with self._audit.refusals(request, f"no longer allow {target}", target=target):
            removed = await self._controlled.disallow(target)
        outcome = "success" if removed else "failure"
        self._audit.told(request, f"no longer allow {target}", target=target, outcome=outcome)
        if removed:
            return web.json_response({"address": target})
        return web.json_response({"error": f"{target} is not among those that an administrator allowed"}, status=404)


def described(one: Allowed) -> dict[str, object]:
    """Return somebody who is allowed as JSON."""
    until = None if one.until is None else iso(one.until)
    return {"address": one.target, "origin": one.origin.value, "comment": one.comment, "until": until, "node": one.node}
