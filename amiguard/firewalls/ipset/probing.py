"""Tries what bans in ipset need, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset import format as ipset
from amiguard.firewalls.ipset.chains import Rules
from amiguard.firewalls.ipset.format import NFNL_SUBSYS_IPSET
from amiguard.firewalls.ipset.legacy import PROGRAM, LegacyRules
from amiguard.firewalls.ipset.refusals import MISSING, explained
from amiguard.firewalls.ipset.rules import NetlinkRules
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.treatment import DROP_ALL, Treatment


async def probe(treatment: Treatment = DROP_ALL) -> str:
    """Try what `Ipset` needs, on a set of its own that is gone afterwards.

    Returns:
        One line on what the kernel can do.

    Raises:
        FirewallError: it can't, or may not.
    """
    netlink = Netlink(NFNL_SUBSYS_IPSET)
    name = f"amiguard-probe-{os.getpid()}"
    try:
        for message in (
            ipset.create(name, "hash:net", 4, 1024, counters=True),
            ipset.add(name, [ipset.element(bytes(4) + b"\x08", 1)]),
        ):
            (answer,) = await netlink.ask([message])
            if isinstance(answer, Refused):
                raise explained(answer)
        how = await probe_rules(treatment)
    finally:
        await netlink.ask([ipset.destroy(name)])
        await netlink.close()
    return f"ipset: bans that end by themselves, networks and allowlists, for IPv4 and IPv6; rules {how}"


async def probe_rules(treatment: Treatment) -> str:
    """Tell how the rules will come into the kernel. Raises FirewallError: there is no way."""
    try:
        _, lacks = await feasible(treatment)
    except FirewallError as error:
        if error.errno not in MISSING:
            raise
        if shutil.which(PROGRAM[4]) is None:
            raise FirewallError(f"neither nf_tables nor {PROGRAM[4]} is here: {error}", error.errno) from error
        return "by iptables-legacy, once"
    return "; ".join(["over netlink, as iptables-nft writes them", *lacks])


async def rules_that_work(treatment: Treatment, feeds: Sequence[str]) -> Rules:
    """Return the strongest rules that the kernel takes, over netlink if it can be; others ask programs of iptables.

    Raises:
        FirewallError: the kernel can't be asked.
    """
    try:
        way, lacks = await feasible(treatment)
    except FirewallError as error:
        if error.errno not in MISSING:
            raise
        return LegacyRules(treatment, feeds)
    return NetlinkRules(way, feeds, lacks)


async def feasible(treatment: Treatment) -> tuple[Treatment, Sequence[str]]:
    """Return the strongest treatment whose rules the kernel takes over netlink, and what is missing, in words.

    Raises:
        FirewallError: it does not even take those of the weakest.
    """
    ways: list[tuple[Treatment, Sequence[str]]] = [(treatment, ())]
    refusals: list[FirewallError] = []
    for way, lacks in ways:  # grows meanwhile
        rules = NetlinkRules(way)
        try:
            await rules.probe()
        except FirewallError as error:
            if error.errno not in MISSING:
                raise
            refusals.append(error)
            ways += [(weaker, (*lacks, lack)) for weaker, lack in way.weaker()]
        else:
            return way, lacks
        finally:
            await rules.close()
    raise refusals[0]
