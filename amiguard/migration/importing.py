"""Has the running daemon ban whom fail2ban has banned, for the time that is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from http import HTTPStatus

from amiguard.control.client import ControlClient, RequestRefused
from amiguard.migration.fail2ban import PERMANENT, Jailed
from amiguard.model import Target


class Outcome(StrEnum):
    """What became of one ban."""

    BANNED = "banned"
    KNOWN = "known"
    """amiguard has banned the address already: that ban stays as it is."""
    ALLOWED = "allowed"
    """amiguard never bans it."""


def longest(bans: Iterable[Jailed]) -> list[Jailed]:
    """Return one ban of each target: that of the jail that holds it for longest."""
    kept: dict[Target, Jailed] = {}
    for ban in bans:
        known = kept.get(ban.target)
        if known is None or (known.left is not None and (ban.left is None or ban.left > known.left)):
            kept[ban.target] = ban
    return list(kept.values())


async def carry_over(
    daemon: ControlClient, bans: Sequence[Jailed], tell: Callable[[Jailed, Outcome], object]
) -> Counter[Outcome]:
    """Have `daemon` ban all of these, one after the other; `tell` hears what becomes of each.

    Raises:
        ControlError: the daemon can't be reached, or its kernel refuses; what was banned until then stays banned.
    """
    known = {ban["address"] async for ban in daemon.bans()}
    outcomes: Counter[Outcome] = Counter()
    for ban in bans:
        outcome = Outcome.KNOWN if ban.target in known else await _ban(daemon, ban)
        outcomes[outcome] += 1
        tell(ban, outcome)
    return outcomes


async def _ban(daemon: ControlClient, ban: Jailed) -> Outcome:
    try:
        await daemon.ban(ban.target, PERMANENT if ban.left is None else ban.left, f"fail2ban, jail {ban.jail}")
    except RequestRefused as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        return Outcome.ALLOWED
    return Outcome.BANNED
