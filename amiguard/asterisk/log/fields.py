"""The values in a log line that Asterisk wrote itself, and the attacker's text, cut and decoded."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from amiguard.asterisk.schema import TEXT_LIMIT
from amiguard.errors import InvalidAddress
from amiguard.model import Address, parse_address

ENDPOINT = rb"[0-9A-Za-z:.%\[\]_-]{2,90}"
"""An address as `ast_sockaddr_stringify` and `pj_sockaddr_print` write it: `192.0.2.1`, `192.0.2.1:5060`,
`2001:db8::1`, `[2001:db8::1]:5060`, with a zone behind a link-local one. `endpoint` judges what it holds."""

HIGHEST_PORT = 65535


def lacking(groups: Iterable[str], pattern: bytes) -> bytes:
    """Return a pattern that never matches, and captures those of `groups` that `pattern` does not.

    As the last alternative of a pattern's end it gives all patterns the same groups, so that one call fetches them, and
    costs nothing: one optional group after the other would take a fifth of the time of a match."""
    return b"(?!)" + b"".join(
        b"(?P<" + name.encode() + b">)" for name in groups if b"(?P<" + name.encode() + b">" not in pattern
    )


@lru_cache(65536)
def address(text: bytes) -> Address | None:
    """Return an address in its canonical form; None = it is none."""
    try:
        return parse_address(text.decode("ascii"))
    except (InvalidAddress, UnicodeDecodeError):
        return None


def endpoint(text: bytes) -> tuple[Address, int] | None:
    """Return the address and the port (0 = none given) of an `ENDPOINT`; None = it is no address."""
    host, colon, port = text.rpartition(b":")
    if not colon or b":" in host:  # IPv6, or no port
        if text.startswith(b"["):
            host, _, port = text[1:].partition(b"]")
            if port and not port.startswith(b":"):
                return None
            port = port[1:] or b"0"
        else:
            host, port = text, b"0"
    found = address(host)
    if found is None or not port.isdigit():
        return None
    number = int(port)
    return (found, number) if number <= HIGHEST_PORT else None


@lru_cache(256)
def word(raw: bytes) -> str:
    """Return one of Asterisk's own words: the name of an event, a service or a transport."""
    return raw.decode("ascii")


def text(raw: bytes | None) -> str:
    """Return an attacker's text, decoded and cut to `TEXT_LIMIT` characters."""
    if not raw:
        return ""
    if len(raw) <= TEXT_LIMIT:
        return raw.decode("utf-8", "replace")
    return raw[: 4 * TEXT_LIMIT].decode("utf-8", "replace")[:TEXT_LIMIT]
