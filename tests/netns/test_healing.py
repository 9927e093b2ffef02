"""Somebody else changes amiguard's table: it is as it was at once, and the log says who it was."""

from __future__ import annotations

import asyncio
import re
import socket
import statistics
import subprocess
import time
from pathlib import Path

import pytest

from amiguard.errors import FirewallError
from amiguard.firewalls.nftables import Nftables
from tests.lab.waiting import until
from tests.netns.protecting import now, protecting
from tests.netns.wire import FAR_V4, V4, V4_NEIGHBOUR, V6, V6_NEIGHBOUR, Wire, ban, targets

pytestmark = pytest.mark.netns

BANS = [ban(V4), ban(V6), ban("198.51.100.0/24")]
RELOAD = """flush ruleset
table inet filter { chain input { type filter hook input priority 0; policy accept; }
}
"""
PROMISE = 0.05
CONTAINED = Path("/proc/self/ns/pid").stat().st_ino != 0xEFFFFFFC  # PROC_PID_INIT_INO of linux/proc_ns.h
"""Whether PIDs are numbered anew here: the kernel names a process by its number outside."""

DAMAGES = {
    "flush ruleset": "the table was deleted",
    "delete table inet amiguard": "the table was deleted",
    "flush chain inet amiguard prerouting": "a rule was deleted or replaced",
    "add table inet amiguard { flags dormant; }": "the table was changed",
    f"delete element inet amiguard banned4 {{ {V4} }}": "elements were changed",
    "flush set inet amiguard banned6": "elements were changed",
    "flush set inet amiguard banned4_24": "elements were changed",
    RELOAD: "the table was deleted",
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_what_somebody_takes_away_is_back_at_once_and_the_log_says_who_it_was(wire: Wire, damage: str) -> None:
    async with protecting(*BANS) as protected:
        before = wire.rules()
        nft = wire.server.popen(["nft", "-f", "-"], stdin=subprocess.PIPE)
        nft.communicate(damage.encode())
        assert nft.returncode == 0
        line = await protected.healed_once_more(than=0)
        assert line.message.startswith(f"{DAMAGES[damage]}; ")
        assert line.fields["process"] == "nft"
        assert line.fields["pid"] == nft.pid or CONTAINED
        await wire.dropped(V4, V6, FAR_V4)
        await wire.passes(V4_NEIGHBOUR, V6_NEIGHBOUR)
        assert without_counts(wire.rules()) == without_counts(before)
        assert len(protected.healed()) == 1


def without_counts(rules: object) -> str:
    return re.sub(r"'(packets|bytes)': \d+", "", str(rules))


@pytest.mark.alone
async def test_protection_is_back_within_the_promised_time(wire: Wire) -> None:
    taken = []
    async with protecting(*BANS, *(ban(f"10.0.{n >> 8}.{n & 255}") for n in range(1_000))) as protected:
        for number in range(9):
            nft = wire.server.popen(["nft", "flush", "ruleset"])
            nft.wait()
            began = time.perf_counter()
            await protected.healed_once_more(than=number)
            taken.append(time.perf_counter() - began)
            await wire.dropped(V4, V6)
    assert statistics.median(taken) < PROMISE


async def test_a_removed_exception_is_back_too(wire: Wire) -> None:
    async with protecting(ban(V4), allow=targets(V4)) as protected:
        wire.server.run(["nft", "flush", "set", "inet", "amiguard", "allow4"])
        await protected.healed_once_more(than=0)
        await wire.passes(V4)


async def test_what_amiguard_does_itself_heals_nothing(wire: Wire) -> None:
    async with protecting(*BANS) as protected:
        for number in range(200):
            await protected.firewall.ban([ban(f"10.0.0.{number}"), ban(f"10.0.0.0/{8 + number % 20}")], now())
        await protected.firewall.allow(targets("203.0.113.7"))
        await protected.guard.administration.unban(targets(V4)[0])
        await protected.firewall.start([], BANS, now())
        await told_of_everything_so_far(wire, protected.firewall)
        assert protected.healed() == []


async def test_what_others_do_to_their_own_tables_heals_nothing(wire: Wire) -> None:
    async with protecting(*BANS) as protected:
        many = ", ".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(20_000))
        wire.server.run(["nft", "add", "table", "inet", "amiguard2"])
        wire.server.run(["nft", "-f", "-"], stdin="table ip other { set many { type ipv4_addr; }\n}\n")
        wire.server.run(["nft", "-f", "-"], stdin=f"add element ip other many {{ {many} }}\n")
        wire.server.run(["nft", "-f", "-"], stdin="add table ip amiguard { chain prerouting { }; }\n")
        wire.server.run(["nft", "delete", "table", "ip", "amiguard"])
        wire.server.run(["nft", "delete", "table", "ip", "other"])
        await told_of_everything_so_far(wire, protected.firewall)
        assert protected.healed() == []


async def test_what_others_add_to_the_table_stays(wire: Wire) -> None:
    async with protecting(*BANS) as protected:
        wire.server.run(["nft", "add", "element", "inet", "amiguard", "banned4", f"{{ {V4_NEIGHBOUR} }}"])
        await told_of_everything_so_far(wire, protected.firewall)
        await wire.dropped(V4_NEIGHBOUR)
        assert protected.healed() == []


async def test_a_ban_that_somebody_shortens_lasts_as_long_as_decided(wire: Wire) -> None:
    async with protecting(ban(V4, now() + 600_000)) as protected:
        lines = "".join(
            f"{verb} element inet amiguard banned4 {{ {V4}{time} }}\n"
            for verb, time in (("delete", ""), ("add", " timeout 5s"))
        )
        wire.server.run(["nft", "-f", "-"], stdin=lines)
        await protected.healed_once_more(than=0)
        assert wire.elements("banned4")[V4]["timeout"] > 500


async def test_more_changes_than_can_be_followed_end_in_a_new_layout(wire: Wire) -> None:
    async with protecting(*BANS) as protected:
        monitor = protected.firewall._monitor._socket
        assert monitor
        monitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        many = ", ".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(5_000))
        lines = (
            f"delete element inet amiguard banned4 {{ {V4} }}\ntable ip other {{ set many {{ type ipv4_addr; }}\n}}\n"
        )
        wire.server.run(["nft", "-f", "-"], stdin=f"{lines}add element ip other many {{ {many} }}\n")
        line = await protected.healed_once_more(than=0)
        assert line.message.startswith("more was changed than could be followed; ")
        await wire.dropped(V4)


async def test_a_monitor_closed_underneath_is_opened_again(wire: Wire) -> None:
    async with protecting(*BANS) as protected:
        monitor = protected.firewall._monitor._socket
        assert monitor
        asyncio.get_running_loop().remove_reader(monitor)
        monitor.close()
        protected.firewall._monitor._wake.set()
        line = await protected.healed_once_more(than=0)
        assert line.message.startswith(
            "the kernel could not be watched (the kernel can't be heard: Bad file descriptor"
        )
        wire.server.run(["nft", "flush", "ruleset"])
        await protected.healed_once_more(than=1)
        await wire.dropped(V4)


async def test_while_the_kernel_refuses_repair_is_tried_again(wire: Wire) -> None:
    async with protecting(*BANS) as protected:
        foreign = "flush ruleset\ntable inet amiguard { set banned4 { type ipv6_addr; }\n}\n"
        wire.server.run(["nft", "-f", "-"], stdin=foreign)
        await until(lambda: any("put back yet" in line.message for line in protected.journal.lines), timeout=10)
        refused = next(line.message for line in protected.journal.lines if "put back yet" in line.message)
        assert "a table inet amiguard is there that is not amiguard's" in refused
        wire.server.run(["nft", "delete", "table", "inet", "amiguard"])
        await protected.healed_once_more(than=0)
        await wire.dropped(V4, V6)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
async def test_a_second_firewall_in_the_same_table_says_so(wire: Wire, first: bool, second: bool) -> None:
    async with protecting(*BANS, firewall=Nftables(owner=first)) as protected:
        other = Nftables(owner=second)
        with pytest.raises(
            FirewallError, match=r"if it is another amiguard, end it, or .* \(AMIGUARD_FIREWALL_TABLE\)"
        ):
            await other.start([], [], 0)
        await other.close()
        await wire.dropped(V4, V6)
        assert protected.healed() == []
    successor = Nftables(owner=second)
    await successor.start([], [], 0)
    await wire.dropped(V4, V6)
    await successor.close()


async def told_of_everything_so_far(wire: Wire, firewall: Nftables) -> None:
    """Return when the monitor has read all that the kernel told of so far."""
    monitor = firewall._monitor._socket
    assert monitor

    def nothing_left() -> bool:
        try:
            return not monitor.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True

    await until(nothing_left)
