"""What the operator decided about the control interface, as this part knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Address(NamedTuple):
    """Where to listen over TCP: an IP address and a port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The Unix socket and its group; and TCP where `http` says. An empty `token` lets everybody in who reaches it."""

    socket: Path
    group: str = ""
    http: Address | None = None
    token: str = field(default="", repr=False)
