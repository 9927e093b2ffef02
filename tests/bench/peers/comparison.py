"""The table that shows amiguard beside the others: medians of the rounds, and how many times amiguard's that is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from tests.bench.peers import restoring, rounds
from tests.bench.peers.contestants import CONTESTANTS, AmiguardByAmi, AmiguardByLog, Fail2ban, IpsetPerBan, NftPerBan
from tests.bench.peers.peer import version_of
from tests.bench.table import show_beside
from tests.lab.chroots import chroot

ROUNDS = 5
SIZES = {10_000: 5, 100_000: 5, 1_000_000: 1}
"""Bans to restore, and how often."""

SMALL = 10_000
"""Bans that fail2ban gets to restore."""

Rows = dict[str, dict[str, list[float]]]
"""Values by figure and peer."""


async def comparison() -> None:
    """Measure all, and print the table, and beneath it what fail2ban did not get done."""
    rows = await _rounds()
    rows |= await rounds.idle(CONTESTANTS)
    for size, runs in SIZES.items():
        rows[f"restore: {size:,} bans, from the start of the process, s"] = {
            AmiguardByAmi.name: await restoring.amiguard(size, runs),
            NftPerBan.name: await restoring.ruleset(size, runs),
            IpsetPerBan.name: await restoring.saved_set(size, runs),
        }
    remarks = [await _flood_in_full(rows), await _restored(rows)]
    against = {kind.name: kind.against for kind in CONTESTANTS}
    medians = {figure: {name: median(values) for name, values in row.items()} for figure, row in rows.items()}
    show_beside(against, medians)
    server = ("chroot", chroot("servers"), "fail2ban-server", "--version")
    versions = {"fail2ban": version_of(*server)} | {name: version_of(name, "--version") for name in ("nft", "ipset")}
    print(f"\n{', '.join(map(' '.join, versions.items()))}. {' '.join(remarks)}", flush=True)


async def _rounds() -> Rows:
    rows: Rows = defaultdict(lambda: defaultdict(list))
    for _ in range(ROUNDS):
        for kind in CONTESTANTS:
            measured = await rounds.one_round(kind)
            for figure, values in measured.items():
                rows[figure][kind.name] += values
    reactions = rows.pop(rounds.REACTION)
    quantiles = {
        "reaction: fifth failure → first packet dropped, p50, ms": {
            name: [_quantile(values, 0.5)] for name, values in reactions.items()
        },
        "reaction: p99, ms": {name: [_quantile(values, 0.99)] for name, values in reactions.items()},
    }
    return quantiles | rows


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


async def _flood_in_full(rows: Rows) -> str:
    """Give fail2ban the flood that all others got."""
    banned, took = await rounds.flood_of(Fail2ban, AmiguardByLog.flood)
    if banned == AmiguardByLog.flood:
        rows[rounds.WHOLE][Fail2ban.name] = [took]
        return "fail2ban's flood in full was one run."
    return f"Of the flood in full fail2ban had banned {banned:,} of {AmiguardByLog.flood:,} after {took:.0f} s."


async def _restored(rows: Rows) -> str:
    """Let fail2ban restore what it remembers."""
    restored, took = await restoring.fail2ban(SMALL)
    if restored == SMALL:
        rows[f"restore: {SMALL:,} bans, from the start of the process, s"][Fail2ban.name] = [took]
        return f"It restored {SMALL:,} bans in one run, more it was not given."
    return f"It had restored {restored:,} of {SMALL:,} bans after {took:.0f} s."
