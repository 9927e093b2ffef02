"""What is served, and behind which gates: the part of the control interface that needs aiohttp."""

from __future__ import annotations

from aiohttp import web

from amiguard.control.audit import Audit
from amiguard.control.controlled import Controlled, Metrics, Reload
from amiguard.control.gate import admitting, no_other_site
from amiguard.control.routes.allow import AllowRoutes
from amiguard.control.routes.bans import BanRoutes
from amiguard.control.routes.documents import DocumentRoutes
from amiguard.control.routes.events import EventRoutes
from amiguard.control.routes.health import HealthRoutes
from amiguard.control.routes.offenders import OffenderRoutes
from amiguard.control.routes.reload import ReloadRoutes
from amiguard.control.service import Service
from amiguard.control.stream import Stream
from amiguard.control.token import Token
from amiguard.journal import Journal
from amiguard.ports import Clock


class Api:
    """The same routes behind each door; what is None has no route."""

    def __init__(
        self,
        controlled: Controlled,
        journal: Journal,
        clock: Clock,
        stream: Stream,
        *,
        reload: Reload | None,
        metrics: Metrics | None,
        patience: float,
    ) -> None:
        self._journal = journal
        self._patience = patience
        audit = Audit(journal)
        self.routes: list[web.RouteDef] = [
            *HealthRoutes(controlled, metrics).table(),
            *BanRoutes(controlled, audit, clock, patience).table(),
            *AllowRoutes(controlled, audit, clock, patience).table(),
            *OffenderRoutes(controlled).table(),
            *EventRoutes(stream, controlled, clock).table(),
            *DocumentRoutes().table(),
            *([] if reload is None else ReloadRoutes(reload, audit).table()),
        ]

    def service(self, token: Token | None = None) -> Service:
        """Return what serves one door: whoever shows the token, or everybody where there is none to show."""
        gates = [no_other_site] if token is None else [admitting(token), no_other_site]
        return Service(gates, self.routes, self._journal, self._patience)
