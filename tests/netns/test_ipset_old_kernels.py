"""Kernels that lack what bans in ipset would like: what can be done without is, and told; else the error says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from errno import EINVAL, ENOENT, EOPNOTSUPP, EPROTONOSUPPORT

import pytest

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset import legacy, probing
from amiguard.firewalls.ipset.firewall import Ipset
from amiguard.firewalls.ipset.legacy import LegacyRules
from amiguard.firewalls.ipset.probing import probe
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import Message
from amiguard.firewalls.ownership import UNLOCKED
from amiguard.firewalls.treatment import NO_ANSWERS, NO_REJECT, Treatment
from amiguard.model import PortRange
from tests.netns.test_ipset import dropped
from tests.netns.wire import V4, V4_NEIGHBOUR, V6, V6_NEIGHBOUR, Wire, ban

pytestmark = pytest.mark.netns


def lacking(monkeypatch: pytest.MonkeyPatch, code: int, unknown: Callable[[Message], bool]) -> None:
    """Have the kernel refuse transactions with a message that it does not know."""
    commit = Netlink.commit

    async def refuse(self: Netlink, messages: Sequence[Message]) -> None:
        for message in messages:
            if unknown(message):
                raise Refused(code, message, "")
        await commit(self, messages)

    monkeypatch.setattr(Netlink, "commit", refuse)


def without_legacy(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = dict.fromkeys((4, 6), "iptables-legacy-that-is-not-here")
    monkeypatch.setattr(legacy, "PROGRAM", nowhere)
    monkeypatch.setattr(probing, "PROGRAM", nowhere)


@pytest.mark.parametrize("code", [EINVAL, EOPNOTSUPP, ENOENT, EPROTONOSUPPORT])
async def test_where_no_table_can_have_an_owner_bans_work_and_it_is_told(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    lacking(monkeypatch, code, lambda message: message.what == "the table amiguard_ipset_lock")
    firewall = Ipset()
    await firewall.start([], [ban(V4), ban(V6, absolute=False)], 0)
    assert firewall.lacks() == [UNLOCKED]
    await dropped(wire, firewall, V4, V6)
    await firewall.close()


async def test_the_probe_tells_that_the_rules_will_be_iptables_legacys(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await probe()).endswith("rules over netlink, as iptables-nft writes them")
    lacking(monkeypatch, EOPNOTSUPP, lambda _: True)
    assert (await probe()).endswith("rules by iptables-legacy, once")
    without_legacy(monkeypatch)
    with pytest.raises(FirewallError, match="neither nf_tables nor iptables-legacy"):
        await probe()
    assert wire.server.run(["ipset", "list", "-name"]).stdout == ""


PORTS = (PortRange("udp", 1024, 65535),)
CONNTRACK, REJECT = b"conntrack\0", b"REJECT\0"


@pytest.mark.parametrize(
    ("treatment", "unknown", "lacks"),
    [
        (Treatment(), [CONNTRACK], [NO_ANSWERS]),
        (Treatment("reject"), [CONNTRACK], [NO_ANSWERS]),
        (Treatment("reject"), [REJECT], [NO_REJECT]),
        (Treatment("reject", PORTS), [CONNTRACK], [NO_REJECT, NO_ANSWERS]),
        (Treatment("reject"), [CONNTRACK, REJECT], [NO_REJECT, NO_ANSWERS]),
    ],
)
async def test_without_what_some_rules_are_made_of_the_others_are_there_and_it_is_told(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, treatment: Treatment, unknown: Sequence[bytes], lacks: Sequence[str]
) -> None:
    lacking(monkeypatch, ENOENT, lambda message: any(one in message.body for one in unknown))
    assert (await probe(treatment)).endswith("; ".join(["as iptables-nft writes them", *lacks]))
    firewall = Ipset(treatment)
    for _ in range(2):  # as when something is put back
        await firewall.start([], [ban(V4), ban(V6, absolute=False)], 0)
        assert firewall.lacks() == lacks
        await dropped(wire, firewall, V4, V6)
        await wire.passes(V4_NEIGHBOUR, V6_NEIGHBOUR)
    assert await firewall._rules.intact()
    await firewall.close()
    await firewall.withdraw()
    assert "AMIGUARD" not in wire.server.run(["nft", "list", "ruleset"]).stdout


@pytest.mark.parametrize("code", [EOPNOTSUPP, ENOENT])
async def test_where_nf_tables_is_missing_the_rules_are_iptables_legacys(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    lacking(monkeypatch, code, lambda message: message.what.endswith(" of iptables"))
    firewall = Ipset()
    await firewall.start([], [ban(V4), ban(V6, absolute=False)], 0)
    await dropped(wire, firewall, V4, V6)
    assert any("iptables-legacy" in one for one in firewall.lacks())
    assert "AMIGUARD" in wire.server.run(["iptables-legacy", "-w", "-t", "raw", "-S"]).stdout
    await firewall.close()
    await firewall.withdraw()


async def test_without_matches_of_xtables_the_rules_are_iptables_legacys_and_without_its_programs_the_start_fails(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking(monkeypatch, ENOENT, lambda message: b"match\0" in message.body)
    firewall = Ipset()
    await firewall.start([], [ban(V4)], 0)
    assert firewall.lacks() == list(LegacyRules.lacks)
    await dropped(wire, firewall, V4)
    await firewall.close()
    await firewall.withdraw()
    without_legacy(monkeypatch)
    with pytest.raises(FirewallError, match="neither nf_tables nor iptables-legacy"):
        await probe()
    firewall = Ipset()
    with pytest.raises(FirewallError):
        await firewall.start([], [ban(V4)], 0)
    await firewall.close()
    assert "AMIGUARD" not in wire.server.run(["nft", "list", "ruleset"]).stdout
    await wire.passes(V4)
