"""Where bans are put."""

from __future__ import annotations

from pydantic import BaseModel, Field

from amiguard.settings.kinds import FirewallKind


class FirewallGroup(BaseModel):
    """Where bans are put."""

    firewall: FirewallKind = Field(
        "nftables", description="where bans are put; `dry-run` only logs them and drops nothing"
    )
