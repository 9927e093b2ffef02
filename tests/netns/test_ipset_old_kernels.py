"""Kernels that lack what bans in ipset would like: what can be done without is, and told; else the error says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from errno import EINVAL, ENOENT, EOPNOTSUPP, EPROTONOSUPPORT

import pytest

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset import legacy, probing
from amiguard.firewalls.ipset.firewall import Ipset
from amiguard.firewalls.ipset.probing import probe
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import Message
from amiguard.firewalls.ownership import UNLOCKED
from amiguard.firewalls.treatment import Treatment
from tests.netns.test_ipset import dropped
from tests.netns.wire import V4, V6, Wire, ban

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


@pytest.mark.parametrize(
    ("treatment", "match"),
    [(Treatment(), b"conntrack\0"), (Treatment("reject"), b"REJECT\0")],
    ids=["conntrack", "reject"],
)
async def test_without_what_the_rules_are_made_of_the_start_and_the_probe_fail_and_leave_no_rule(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, treatment: Treatment, match: bytes
) -> None:
    lacking(monkeypatch, ENOENT, lambda message: match in message.body)
    without_legacy(monkeypatch)
    with pytest.raises(FirewallError, match="the kernel refused a rule of chain AMIGUARD"):
        await probe(treatment)
    firewall = Ipset(treatment)
    with pytest.raises(FirewallError):
        await firewall.start([], [ban(V4)], 0)
    await firewall.close()
    assert "AMIGUARD" not in wire.server.run(["nft", "list", "ruleset"]).stdout
    await wire.passes(V4)
