"""How the daemon is: for orchestrators, and in full."""

from __future__ import annotations

from typing import cast

from aiohttp import web

from amiguard.control.controlled import Controlled, Metrics


class HealthRoutes:
    """`/healthz`, `/readyz`, `/api/v1/status`, and `/metrics` where there are any."""

    def __init__(self, controlled: Controlled, metrics: Metrics | None) -> None:
        self._controlled = controlled
        self._metrics = metrics

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        routes = [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/api/v1/status", self._status),
        ]
        return routes if self._metrics is None else [*routes, web.get("/metrics", self._scraped)]

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = bool(self._controlled.status().get("ready"))
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self._controlled.status())

    async def _scraped(self, _: web.Request) -> web.Response:
        body, content_type = await cast("Metrics", self._metrics)()
        return web.Response(body=body, headers={"Content-Type": content_type})
