"""How the daemon is: for orchestrators, and in full."""

from __future__ import annotations

from aiohttp import web

from amiguard.control.controlled import Controlled


class HealthRoutes:
    """`/healthz`, `/readyz` and `/api/v1/status`."""

    def __init__(self, controlled: Controlled) -> None:
        self._controlled = controlled

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/api/v1/status", self._status),
        ]

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = bool(self._controlled.status().get("ready"))
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self._controlled.status())
