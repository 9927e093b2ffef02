"""Values in the words of a mail. Pure.

The rule for text that an attacker or a stranger's server wrote: cut first, then every character that does not print
(control characters, line ends, bidirectional overrides, lone surrogates) is shown as its escape; a backslash is
doubled, so that an escape can't be mistaken for what was typed."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from amiguard.model import Ban, Evidence, Reason, Timestamp

NAME_LIMIT = 256

REASONS = {
    Reason.WRONG_PASSWORD: "wrong password",
    Reason.UNKNOWN_ACCOUNT: "unknown account",
    Reason.ACL: "refused by an access list",
    Reason.BAD_REQUEST: "malformed request",
    Reason.NOT_ALLOWED: "request not allowed",
    Reason.SCAN: "scanned for accounts",
    Reason.NETWORK: "many offenders of one network",
    Reason.INJECTION: "forged events inside a request",
    Reason.MANUAL: "banned by hand",
    Reason.KERNEL: "found in the kernel",
}

EVIDENCE = {
    Evidence.CONNECTED: "proven: a connection was made from this address",
    Evidence.DATAGRAM: "not proven: only UDP packets name this address, the sender may have forged it",
}

UNITS = (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))

LATEST = 253_370_764_800_000
"""9999-01-01, the last year that calendars here can show; a ban until then is as good as permanent."""


def clean(text: str, limit: int = NAME_LIMIT) -> str:
    """Return at most `limit` characters of `text` as one harmless line; an ellipsis tells of a cut."""
    kept = text[:limit]
    shown = "".join(
        "\\\\" if char == "\\" else char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in kept
    )
    return shown if len(text) <= limit else f"{shown}…"


def host_word(hostname: str) -> str:
    """Return `hostname` reduced to what EHLO, a Message-ID and a subject can carry."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", hostname)[:253].strip(".-") or "localhost"


def moment(at: Timestamp) -> str:
    """Return a time on the wall clock of this server, with its offset from UTC."""
    return local_time(at).strftime("%Y-%m-%d %H:%M:%S %z")


def local_time(at: Timestamp) -> datetime:
    """Return a Timestamp in this server's time zone."""
    return datetime.fromtimestamp(min(max(at, 0), LATEST) / 1000, tz=UTC).astimezone()


def duration(milliseconds: int) -> str:
    """Return a duration in its two largest units: `1 hour 30 minutes`."""
    left = milliseconds // 1000
    words = []
    for unit, seconds in UNITS:
        amount, left = divmod(left, seconds)
        if amount:
            words.append(plural(amount, unit))
    return " ".join(words[:2]) or "less than a second"


def plural(amount: int, noun: str, nouns: str = "") -> str:
    """Return `1 failure`, `2 failures`."""
    return f"{amount} {noun if amount == 1 else nouns or noun + 's'}"


def reason_words(reason: Reason) -> str:
    """Return a reason as an operator would say it."""
    return REASONS.get(reason, reason.value)


def evidence_words(ban: Ban) -> str:
    """Return how far the address of `ban` is proven."""
    return "" if ban.evidence is None else EVIDENCE[ban.evidence]


def end_words(ban: Ban) -> str:
    """Return when `ban` ends, and after how long."""
    if ban.until is None:
        return "permanent"
    return f"{moment(ban.until)} ({duration(max(0, ban.until - ban.since))})"
