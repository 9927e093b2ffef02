"""`/api/v1/reload`: takes over changed settings."""

from __future__ import annotations

from aiohttp import web

from amiguard.control.audit import Audit
from amiguard.control.controlled import Reload
from amiguard.errors import SettingsError

UNPROCESSABLE = 422


class ReloadRoutes:
    """Reloading the settings."""

    def __init__(self, reload: Reload, audit: Audit) -> None:
        self._reload = reload
        self._audit = audit

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.post("/api/v1/reload", self._take_over)]

    async def _take_over(self, request: web.Request) -> web.Response:
        try:
            changed = await self._reload()
        except SettingsError as error:
            self._audit.told(request, "reload", outcome="failure", error=error)
            text = "the settings are wrong; the old ones stay"
            return web.json_response({"error": text, "problems": list(error.problems)}, status=UNPROCESSABLE)
        self._audit.told(request, "reload", changed=changed)
        return web.json_response({"changed": list(changed)})
