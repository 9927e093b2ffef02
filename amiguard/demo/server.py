"""What the demo's server is to the story, whether a stand-in or a real Asterisk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

ACCOUNT = "6001"


@dataclass(slots=True)
class Server:
    """A running Asterisk, or what stands in for it."""

    words: str
    """What it is, for people."""
    password: str = field(repr=False)
    """Of the account `ACCOUNT`."""
    manager_user: str
    manager_secret: str = field(repr=False)
    arrived: Counter[str] | None = None
    """Datagrams that reached its SIP port, by source; None where the server does not tell."""
    told_at: list[float] = field(default_factory=list)
    """When it wrote the bytes of each wrong password to the manager interface, on the loop's clock; empty where the
    server does not tell."""
