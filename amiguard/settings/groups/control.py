"""How the daemon is reached."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from amiguard.settings.kinds import SocketPath


class ControlGroup(BaseModel):
    """How the daemon is reached."""

    control_socket: SocketPath = Field(
        Path("/run/amiguard/amiguard.sock"), description="where `amiguard status`, `ban`, ... reach the daemon"
    )
