"""How the daemon is reached."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from amiguard.settings.kinds import OptionalEndpoint, Secret, SocketPath, Text

SHORTEST_TOKEN = 16


class ControlGroup(BaseModel):
    """How the daemon is reached."""

    control_socket: SocketPath = Field(
        Path("/run/amiguard/amiguard.sock"), description="where `amiguard status`, `ban`, ... reach the daemon"
    )
    control_group: Text = Field(
        "amiguard", description="the group whose members may use the control socket, where there is such a group"
    )
    http_listen: OptionalEndpoint = Field(
        None, description="serve the page and the control API over TCP there too; empty = on the socket only"
    )
    http_token: Secret = Field(
        SecretStr(""),
        description=f"who shows it may do everything over TCP (at least {SHORTEST_TOKEN} characters); "
        "only on a loopback address it may be left out: then every local user may",
    )

    @field_validator("http_token")
    @classmethod
    def _strangers_need_a_token(cls, token: SecretStr, info: ValidationInfo) -> SecretStr:
        given, listen = token.get_secret_value(), info.data.get("http_listen")
        if given and len(given) < SHORTEST_TOKEN:
            raise ValueError(f"is shorter than {SHORTEST_TOKEN} characters; `openssl rand -hex 32` makes a good one")
        if given and not (given.isascii() and given.isprintable() and " " not in given):
            raise ValueError("holds characters that no HTTP header may; `openssl rand -hex 32` makes a good one")
        if not given and listen is not None and not listen.is_loopback:
            raise ValueError(f"is not set, but AMIGUARD_HTTP_LISTEN is {listen}, which others reach; set it")
        return token
