"""The other nodes."""

from __future__ import annotations

import socket
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator

from amiguard.settings.kinds import FleetAllow, NodeName, Secret, Switch, TableName, is_node

OPTIONS = frozenset({"db", "password", "ssl_ca_certs"})
"""What may follow the `?` of the URL: nothing there may switch the check of a certificate off."""


def _hostname() -> str:
    name = socket.gethostname()
    return name if is_node(name) else "localhost"


class FleetGroup(BaseModel):
    """The other nodes."""

    redis_url: Secret = Field(
        SecretStr(""),
        description="the Redis (7 or newer) or Valkey over which nodes share their bans: "
        "`rediss://USER:PASSWORD@HOST`, `redis://` without TLS, `unix:///PATH`; needs `amiguard[fleet]`; "
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
        text = url.get_secret_value()
        if not text:
            return url
        try:
            parts = urlsplit(text)
            named = bool(parts.path if parts.scheme == "unix" else parts.hostname) and parts.port != 0
        except ValueError:
            named, parts = False, urlsplit("")
        if not named or parts.scheme not in {"redis", "rediss", "unix"} or " " in text:
            raise ValueError("is no URL of a Redis; give one that begins with rediss://, redis:// or unix://")
        path = parts.path.strip("/")
        if parts.scheme != "unix" and path and not path.isdigit():
            raise ValueError("names a database that is no number")
        if {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} - OPTIONS:
            raise ValueError("has other options than db, password and ssl_ca_certs")
        return url
