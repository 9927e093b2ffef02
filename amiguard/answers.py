"""Bans as JSON, for whoever asks and for programs that are told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from amiguard.model import Ban, Drops, Target, Timestamp, network_of, target_of


def shown(ban: Ban, now: Timestamp) -> dict[str, object]:
    """Return a ban with what is left of it at `now`: `remaining` in seconds, rounded up; None for a permanent one."""
    remaining = ban.remaining(now)
    return facts(ban, remaining=None if remaining is None else -(-remaining // 1000))


def facts(ban: Ban, **lasting: int | None) -> dict[str, object]:
    """Return a ban, and how long it is `lasting`: times in ISO 8601, `until` None for a permanent one."""
    return {
        "address": ban.target,
        "since": iso(ban.since),
        "until": None if ban.until is None else iso(ban.until),
        **lasting,
        "reason": ban.reason,
        "origin": ban.origin,
        "node": ban.node,
        "evidence": ban.evidence,
        "absolute": ban.absolute,
        "failures": ban.failures,
        "earlier": ban.earlier,
        "accounts": ban.accounts,
        "service": ban.service,
        "transport": ban.transport,
        "source": ban.source,
        "comment": ban.comment,
    }


def dropped(drops: Drops | None) -> dict[str, object]:
    """Return what was dropped of one ban as JSON; nothing where it was not counted."""
    return {} if drops is None else {"dropped": drops._asdict()}


def located(country: str | None) -> dict[str, object]:
    """Return the country of a target as JSON; nothing where it is not known."""
    return {"country": country} if country else {}


def iso(at: Timestamp) -> str:
    """Return a moment in ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(at // 1000, UTC).isoformat().replace("+00:00", "Z")


def covering(target: Target, find: Callable[[Target], Ban | None]) -> list[Ban]:
    """Return the bans that `target` falls under, the narrowest first: its own, then those of networks around it."""
    network = network_of(target)
    wider = (target_of(network.supernet(new_prefix=prefix)) for prefix in range(network.prefixlen, -1, -1))
    return [ban for ban in map(find, wider) if ban is not None]
