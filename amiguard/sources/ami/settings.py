"""What it takes to reach one Asterisk's manager interface."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from amiguard.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiSettings:
    """Where Asterisk listens, who we are there, and how patient we are. All times are in seconds.

    Raises:
        SettingsError: a line break or another control character stands in the user name or the secret: it would add
            headers to our own login.
    """

    host: str = "127.0.0.1"
    port: int = 5038
    username: str
    secret: str = field(repr=False)
    tls: bool = False
    tls_ca: Path | None = None
    """A file of CA certificates; None = those of the system."""
    tls_server_name: str = ""
    """The name that the certificate must bear, where it is not `host`."""
    tls_verify: bool = True

    connect_timeout: float = 10
    """For each address of `host`, and for the TLS handshake."""
    banner_timeout: float = 10
    login_timeout: float = 10
    """Asterisk lets a refused login wait for a second before it answers."""
    canary_timeout: float = 3
    """Within this time after the login our own SuccessfulAuth must have come."""
    deaf_retry: float = 60
    """After this time without `read=security` we log in anew: Asterisk reads permissions only at a login."""
    ping_interval: float = 10
    ping_timeout: float = 5
    retry: tuple[float, float] = (1, 20)
    """First and longest wait before a lost connection is made again."""
    refused_retry: tuple[float, float] = (60, 300)
    """The same after a refused login; slow, for each is itself a security event against us."""

    def __post_init__(self) -> None:
        problems = []
        if not self.username or not self.username.isprintable():
            problems.append("AMI_USERNAME is empty or contains a control character")
        if not self.secret.isprintable():
            problems.append("AMI_SECRET contains a control character")
        if problems:
            raise SettingsError(problems)

    @property
    def where(self) -> str:
        """Host and port, as shown to people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
