"""Kernels that lack what amiguard would like: it does without, and says what is missing."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator
from errno import EBUSY, EINVAL, ENFILE, ENOBUFS, ENOMEM, EOPNOTSUPP, EPERM, ETIMEDOUT

import pytest

from amiguard.errors import FirewallError
from amiguard.firewalls import monitor, netlink
from amiguard.firewalls.conntrack import NFNL_SUBSYS_CTNETLINK, Conntrack
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkformat import NFGENMSG, attributes
from amiguard.firewalls.nftables import Nftables, probe
from amiguard.firewalls.nftmessages import Kind, TableFlag
from amiguard.firewalls.ownership import UNLOCKED, UNOWNED
from amiguard.model import Ban, Reason, Target
from tests.unit.firewalls.fakekernel import FakeKernel, Refusal, takes_all

NFTA_TABLE_FLAGS = 2
DESTROYTABLE = 26
"""The first of the messages that delete what may be missing (Linux 6.3)."""
BAN = Ban(Target("192.0.2.1"), 0, None, Reason.MANUAL)


@pytest.fixture
async def kernel(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeKernel]:
    kernel = FakeKernel()
    monkeypatch.setattr(netlink, "_open", kernel.open)
    monkeypatch.setattr(monitor, "_open", kernel.open)
    yield kernel
    kernel.close()


def flags_of(body: bytes) -> int:
    return int.from_bytes(dict(attributes(body, NFGENMSG.size)).get(NFTA_TABLE_FLAGS, b""), "big")


def without(unknown: int, code: int) -> Refusal:
    """A kernel that refuses a table with any of these flags."""
    return lambda kind, body: code if kind is Kind.NEWTABLE and flags_of(body) & unknown else 0


def tables(kernel: FakeKernel) -> list[int]:
    return [flags_of(body) for kind, body in kernel.done if kind is Kind.NEWTABLE]


NO_OWNER = TableFlag.OWNER | TableFlag.PERSIST


@pytest.mark.parametrize(
    ("refuses", "lacks", "made"),
    [
        (without(0, 0), [], [TableFlag.OWNER | TableFlag.PERSIST] * 2),
        (without(TableFlag.PERSIST, EOPNOTSUPP), [UNOWNED], [TableFlag.OWNER | TableFlag.DORMANT, 0]),
        (without(NO_OWNER, EOPNOTSUPP), [UNOWNED, UNLOCKED], [0]),
        (without(NO_OWNER, EINVAL), [UNOWNED, UNLOCKED], [0]),
    ],
    ids=["all there", "before 6.9", "before 5.12", "before 5.12, EINVAL"],
)
async def test_each_kernel_protects_as_well_as_it_can_and_what_it_lacks_is_told(
    kernel: FakeKernel, refuses: Refusal, lacks: list[str], made: list[int]
) -> None:
    kernel.refuses = refuses
    firewall = Nftables(owner=True)
    await firewall.start([], [BAN], 0)
    assert firewall.lacks() == lacks
    assert tables(kernel) == made
    assert [kind for kind, _ in kernel.done].count(Kind.NEWSETELEM) == 1
    told = await probe()
    assert all(sentence in told for sentence in lacks)
    assert ("nobody else can change the table" in told) == (not lacks)
    await firewall.close()


async def test_no_message_is_sent_that_only_new_kernels_know(kernel: FakeKernel) -> None:
    firewall = Nftables(owner=True)
    await firewall.start([], [BAN], 0)
    await firewall.ban([BAN], 0)
    await firewall.unban([BAN.target])
    await firewall.allow([Target("192.0.2.0/24")])
    await firewall.close()
    assert max(kind for kind, _ in kernel.done) <= Kind.DELOBJ
    assert max(Kind) < DESTROYTABLE


async def test_connections_are_listed_without_a_filter_for_old_kernels_refuse_or_ignore_it(
    kernel: FakeKernel,
) -> None:
    conntrack = Conntrack()
    conntrack._netlink = Netlink(NFNL_SUBSYS_CTNETLINK)  # not in a thread: the kernel here is on the loop
    kernel.lists_nothing = EINVAL
    for target in ("192.0.2.1", "2001:db8::/64"):
        with pytest.raises(FirewallError, match="this kernel has no nf_conntrack_netlink"):
            await conntrack.end([Target(target)])
    assert kernel.asked == [NFGENMSG.pack(family, 0, 0) for family in (socket.AF_INET, socket.AF_INET6)]
    await conntrack.close()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (EPERM, "another program owns the table"),
        (ENOMEM, "the kernel has no memory left for bans; what is banned stays so"),
        (ENFILE, "a set of bans is full; what is in it stays banned"),
        (ENOBUFS, "No buffer space"),
        (EBUSY, "busy"),
    ],
)
async def test_what_the_kernel_refuses_is_an_error_that_says_why(kernel: FakeKernel, code: int, told: str) -> None:
    firewall = Nftables()
    await firewall.start([], [], 0)
    done = len(kernel.done)
    kernel.refuses = lambda kind, _: code if kind is Kind.NEWSETELEM else 0
    with pytest.raises(FirewallError, match=told) as raised:
        await firewall.ban([BAN], 0)
    assert raised.value.errno == code
    assert len(kernel.done) == done
    kernel.refuses = takes_all
    await firewall.ban([BAN], 0)
    assert len(kernel.done) > done
    await firewall.close()


async def test_every_call_ends_when_the_kernel_never_answers(
    kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    firewall = Nftables(owner=True)
    await firewall.start([], [], 0)
    kernel.silent = True
    firewall._netlink._patience = 0.05
    calls = (
        firewall.ban([BAN], 0),
        firewall.unban([BAN.target]),
        firewall.allow([]),
        firewall.total_drops(),
        firewall.start([], [BAN], 0),
    )
    for call in calls:
        began = time.monotonic()
        with pytest.raises(FirewallError, match="did not answer") as raised:
            await call
        assert raised.value.errno == ETIMEDOUT
        assert time.monotonic() - began < 2
    told = await firewall.watch()
    assert told.what == "the claim to the table was lost"
    await firewall.close()
