"""What is the same for everybody: the description of the interface."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from aiohttp import web

from amiguard import __version__


class DocumentRoutes:
    """`/api/v1/openapi.json`."""

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get("/api/v1/openapi.json", self._description)]

    async def _description(self, _: web.Request) -> web.Response:
        return web.Response(text=description(), content_type="application/json")


@cache
def description() -> str:
    """Return the OpenAPI 3.1 document: https://spec.openapis.org/oas/v3.1.1.html"""
    told = json.loads(files("amiguard.control").joinpath("openapi.json").read_text())
    told["info"]["version"] = __version__
    return json.dumps(told)
