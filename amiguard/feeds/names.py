"""What lists are called, and where they are, as an operator writes it. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MOST = 8
"""Lists: each costs every packet of a stranger some lookups."""

APIBAN = "apiban"
CROWDSEC = "crowdsec"

_NAMED = re.compile(r"([a-z][a-z0-9]{0,15})=((?:https?|file)://\S+)")


def feeds_of(text: str) -> dict[str, str]:
    """Return the URL of each list by its name. Raises ValueError with a sentence that shows no URL."""
    found: dict[str, str] = {}
    for word in text.split():
        match = _NAMED.fullmatch(word)
        if match is None or not is_place(match[2]):
            raise ValueError("names no list; give NAME=URL, where the name is a letter and up to 15 letters and digits")
        if match[1] in found or match[1] in {APIBAN, CROWDSEC}:
            raise ValueError(f"calls two lists {match[1]!r}")
        found[match[1]] = match[2]
    if len(found) > MOST:
        raise ValueError(f"names more than {MOST} lists")
    return found


def is_place(url: str) -> bool:
    """Whether a URL says where something is."""
    try:
        parts = urlsplit(url)
        return not parts.netloc if parts.scheme == "file" else bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
