"""What is remembered, and where."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from amiguard.settings.kinds import FilePath

DATABASE = Path("/var/lib/amiguard/amiguard.db")


class StoreGroup(BaseModel):
    """What is remembered, and where."""

    database: FilePath = Field(DATABASE, description="the SQLite file that remembers bans over restarts")
