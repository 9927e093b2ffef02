"""Faults of the kernel or a netlink socket while bans are ipset's: every call ends, nothing is said to be done that is
not, and no ban is lost."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Sequence
from errno import EBADF, ENOBUFS, ENOMEM, EPERM, ETIMEDOUT

import pytest

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset import format as ipset
from amiguard.firewalls.ipset import sets as ipset_sets
from amiguard.firewalls.ipset.firewall import Ipset
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import Message
from amiguard.journal import Action
from amiguard.model import Target
from tests.lab.waiting import until
from tests.netns.protecting import Protected, guarding, now
from tests.netns.test_faults import swallow_answers
from tests.netns.test_ipset import dropped, members, started
from tests.netns.wire import V4, V4_NEIGHBOUR, V6, Wire, ban, targets

pytestmark = pytest.mark.netns
ROOM = 3


def opened(netlink: Netlink) -> socket.socket:
    """The socket that a started firewall holds."""
    held = netlink._socket
    assert held is not None
    return held


async def test_an_answer_that_never_comes_ends_in_an_error_and_the_next_call_works(wire: Wire) -> None:
    async with started() as firewall:
        firewall._netlink._patience = 0.2
        swallow_answers(opened(firewall._netlink))
        began = time.monotonic()
        with pytest.raises(FirewallError, match="did not answer") as raised:
            await firewall.ban([ban(V4)], 0)
        assert raised.value.errno == ETIMEDOUT
        assert time.monotonic() - began < 2
        await firewall.ban([ban(V4)], 0)
        await dropped(wire, firewall, V4)


async def test_a_call_cancelled_while_it_waits_leaves_the_firewall_usable(wire: Wire) -> None:
    async with started() as firewall:
        swallow_answers(opened(firewall._netlink))
        waiting = asyncio.create_task(firewall.ban([ban(V6)], 0))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        opened(firewall._netlink).close()
        with pytest.raises(FirewallError):
            await firewall.ban([ban(V4)], 0)
        await firewall.ban([ban(V4)], 0)
        await dropped(wire, firewall, V4)


async def test_a_socket_closed_underneath_is_reported_and_replaced(wire: Wire) -> None:
    async with started() as firewall:
        opened(firewall._netlink).close()
        with pytest.raises(FirewallError, match="could not be sent") as raised:
            await firewall.ban([ban(V4)], 0)
        assert raised.value.errno == EBADF
        await firewall.ban([ban(V4)], 0)
        await dropped(wire, firewall, V4)


async def test_a_receive_buffer_that_overflows_is_no_success_and_the_next_call_works(wire: Wire) -> None:
    async with started() as firewall:
        opened(firewall._netlink).setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        with pytest.raises(FirewallError, match="answer was lost") as raised:
            await firewall._netlink.ask([ipset.test("absent", ipset.element(bytes(4)))] * 200)
        assert raised.value.errno == ENOBUFS
        await firewall.ban([ban(V4)], 0)
        await dropped(wire, firewall, V4)


async def test_many_calls_at_once_each_get_their_own_outcome(wire: Wire) -> None:
    async with started() as firewall:
        good = [firewall.ban([ban(f"10.0.0.{n}")], 0) for n in range(100)]
        bad = [firewall._sets.do(ipset.get_index(f"absent{n}")) for n in range(100)]
        calls = [call for pair in zip(good, bad, strict=True) for call in pair]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert outcomes[::2] == [None] * 100
        for n, outcome in enumerate(outcomes[1::2]):
            assert re.search(rf"the number of set absent{n}:", str(outcome))
        assert len(members(wire, "amiguard4")) == 100


@pytest.mark.parametrize("which", ["sets", "rules", "looks"])
@pytest.mark.parametrize("fault", ["closed", "silent"])
async def test_a_running_guard_outlives_the_loss_of_any_of_its_sockets(wire: Wire, which: str, fault: str) -> None:
    async with guarding(Ipset(), ban(V4)) as protected:
        firewall = protected.firewall
        await until(lambda: firewall.looks > 3)
        used = {
            "sets": firewall._netlink,
            "rules": firewall._rules._netlink,  # type: ignore[attr-defined]
            "looks": firewall._watching._netlink,
        }[which]
        used._patience = 0.2
        if fault == "closed":
            opened(used).close()
        else:
            swallow_answers(opened(used))
        protected.guard._enforcement.submit(ban(V6, now() + 600_000))
        await until(lambda: V6 in banned(protected), what="the ban is in force")
        looks = firewall.looks
        await until(lambda: firewall.looks > looks + 3, what="it is looked again")
        await dropped(wire, firewall, V4, V6)
        heals = len(protected.healed())
        wire.server.run(["ipset", "del", "amiguard4", V4])
        await protected.healed_once_more(than=heals)
        await dropped(wire, firewall, V4, V6)


def banned(protected: Protected[Ipset]) -> list[str]:
    return [line.message.split()[0] for line in protected.journal.of(Action.BAN)]


@pytest.mark.parametrize("code", [EPERM, ENOMEM])
async def test_while_the_kernel_refuses_bans_wait_and_none_is_reported_as_done(wire: Wire, code: int) -> None:
    async with guarding(Ipset(), ban(V4)) as protected:
        add, refusing = ipset.ADD, True
        ask = protected.firewall._netlink.ask

        async def refuse(messages: Sequence[Message]) -> list[list[bytes] | Refused]:
            if refusing and any(message.kind & 0xFF == add for message in messages):
                return [Refused(code, messages[0], "")]
            return await ask(messages)

        protected.firewall._netlink.ask = refuse  # type: ignore[method-assign]
        protected.guard._enforcement.submit(ban(V6))
        await until(lambda: bool(protected.journal.of(Action.FIREWALL_FAILED)))
        assert banned(protected) == []
        assert members(wire, "amiguard6") == {}
        await dropped(wire, protected.firewall, V4)
        refusing = False
        await until(lambda: banned(protected) == [V6], timeout=20, what="the ban is in force at last")
        await dropped(wire, protected.firewall, V4, V6)


async def test_a_full_set_keeps_what_it_has_and_takes_what_waits_as_soon_as_there_is_room(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ipset_sets, "SIZE", ROOM)
    async with guarding(Ipset(), ban(V4)) as protected:
        enforcement = protected.guard._enforcement
        many = [f"10.0.{number}.1" for number in range(6)]
        for one in [*many, V6]:
            enforcement.submit(ban(one))
        await until(lambda: V6 in banned(protected), timeout=30, what="who needs no room there is banned")
        await until(lambda: len(members(wire, "amiguard4")) >= ROOM, timeout=30)
        told = set(banned(protected)) - {V6}
        assert told <= set(members(wire, "amiguard4")), "none is reported as done that is not in the kernel"
        assert set(enforcement.waiting) | told == set(many), "none is lost"
        refused = protected.journal.of(Action.FIREWALL_FAILED)[0].fields["error"]
        assert "the set is full" in str(refused)
        await dropped(wire, protected.firewall, V4, V6)
        await protected.guard.administration.unban(Target(V4))
        done = len(banned(protected))
        await until(lambda: len(banned(protected)) > done, timeout=30, what="the next one is banned")
        await wire.passes(V4)


async def test_closing_twice_and_before_the_start_is_harmless(wire: Wire) -> None:
    firewall = Ipset()
    for _ in range(2):
        await firewall.close()
    await firewall.start([], [ban(V4)], 0)
    await dropped(wire, firewall, V4)
    await firewall.unban(targets(V4, V4_NEIGHBOUR))
    for _ in range(2):
        await firewall.close()
