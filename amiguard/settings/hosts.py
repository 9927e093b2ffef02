"""Hosts as an operator names them."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

from amiguard.override import override


class Endpoint(NamedTuple):
    """Where a TCP server listens."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.host).is_loopback

    @override
    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_name(text: str) -> bool:
    """Tell whether a host or a word of `IGNOREIP` is a DNS name: no top-level domain is a number (RFC 3696)."""
    return ":" not in text and "/" not in text and not text.rstrip(".").rpartition(".")[2].isdigit()


def is_http(url: str) -> bool:
    """Tell whether a URL names a server that is asked over HTTP or HTTPS."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and parts.scheme in {"https", "http"} and " " not in url
    except ValueError:
        return False
