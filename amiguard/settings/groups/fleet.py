"""The other nodes."""

from __future__ import annotations

import socket

from pydantic import BaseModel, Field, SecretStr, field_validator

from amiguard.fleet.places import parse
from amiguard.settings.kinds import FleetAllow, NodeName, Secret, Switch, TableName, is_node


def _hostname() -> str:
    name = socket.gethostname()
    return name if is_node(name) else "localhost"


class FleetGroup(BaseModel):
    """The other nodes."""

    redis_url: Secret = Field(
        SecretStr(""),
        description="the Redis (7 or newer) or Valkey over which nodes share their bans: "
        "`rediss://USER:PASSWORD@HOST`, `redis://` without TLS, `unix:///PATH`, `rediss+sentinel://HOST,HOST/MASTER`, "
        "`rediss+cluster://HOST,HOST`; needs `amiguard[fleet]`; "
        "empty = this node is alone",
    )
    fleet_node: NodeName = Field(
        default_factory=_hostname, description="what the other nodes call this one; empty = this host's name"
    )
    fleet_prefix: TableName = Field(
        "amiguard", description="what the names of all keys in Redis begin with: nodes with the same are one fleet"
    )
    fleet_count: Switch = Field(
        default=True, description="count failures together with the other nodes: `MAXRETRY` tries, wherever, are a ban"
    )
    fleet_allow: FleetAllow = Field(
        "share",
        description="whom administrators allow with `amiguard allow`: `share` it with the other nodes, `hear` them and "
        "tell nothing, or `off`",
    )

    @field_validator("redis_url")
    @classmethod
    def _names_a_redis(cls, url: SecretStr) -> SecretStr:
        if text := url.get_secret_value():
            parse(text)
        return url
