"""amiguard's own log."""

from __future__ import annotations

from pydantic import BaseModel, Field

from amiguard.settings.kinds import LogFormat, LogLevel


class JournalGroup(BaseModel):
    """amiguard's own log."""

    log_format: LogFormat = Field(
        "ecs", description="own log on standard output: JSON as ECS or as OCSF names it, or text for people"
    )
    log_level: LogLevel = Field("info", description="leave out lines below this level; `warning` hides failures")
