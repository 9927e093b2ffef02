"""`/api/v1/offenders`: what is known of one address."""

from __future__ import annotations

from aiohttp import web

from amiguard.control.controlled import Controlled
from amiguard.model import parse_address


class OffenderRoutes:
    """The offenders."""

    def __init__(self, controlled: Controlled) -> None:
        self._controlled = controlled

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get("/api/v1/offenders/{address}", self._offender)]

    async def _offender(self, request: web.Request) -> web.Response:
        return web.json_response(await self._controlled.offender(parse_address(request.match_info["address"])))
