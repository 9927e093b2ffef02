from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import time
from errno import EBADF, EINVAL, EMSGSIZE, ENOBUFS, ENOENT, EOPNOTSUPP, ETIMEDOUT

import pytest

from amiguard.errors import FirewallError
from amiguard.firewalls.elements import element, upsert
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import Message
from amiguard.firewalls.nftables import Nftables
from amiguard.firewalls.nftmessages import NFNL_SUBSYS_NFTABLES, delete_table, list_sets, new_table
from tests.netns.wire import V4, V4_NEIGHBOUR, V6, Wire, ban, targets

pytestmark = pytest.mark.netns
SO_ATTACH_FILTER = 26
BPF_RET = 6
NO_SUBSYSTEM = 0
BEYOND_ALL_SUBSYSTEMS = 200


def opened(firewall: Nftables) -> socket.socket:
    """The socket that a started firewall holds."""
    held = firewall._netlink._socket
    assert held is not None
    return held


def swallow_answers(held: socket.socket) -> None:
    """Have the kernel throw away whatever it would deliver to this socket."""
    program = ctypes.create_string_buffer(struct.pack("=HBBI", BPF_RET, 0, 0, 0))
    held.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))


async def test_an_answer_that_never_comes_ends_in_an_error_and_the_next_call_works(
    wire: Wire, firewall: Nftables
) -> None:
    firewall._netlink._patience = 0.2
    swallow_answers(opened(firewall))
    began = time.monotonic()
    with pytest.raises(FirewallError, match="did not answer") as raised:
        await firewall.ban([ban(V4)], 0)
    assert raised.value.errno == ETIMEDOUT
    assert time.monotonic() - began < 2
    await firewall.ban([ban(V4)], 0)
    await wire.dropped(V4)


async def test_a_ban_at_once_waits_for_no_answer(wire: Wire, firewall: Nftables) -> None:
    swallow_answers(opened(firewall))
    with pytest.raises(FirewallError, match="answer was lost"):
        firewall.ban_at_once(ban(V4), 0)
    await firewall.ban([ban(V4)], 0)
    await wire.dropped(V4)


async def test_a_call_cancelled_while_it_waits_leaves_the_firewall_usable(wire: Wire, firewall: Nftables) -> None:
    swallow_answers(opened(firewall))
    waiting = asyncio.create_task(firewall.ban([ban(V6)], 0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    opened(firewall).close()
    with pytest.raises(FirewallError):
        await firewall.ban([ban(V4)], 0)
    await firewall.ban([ban(V4)], 0)
    await wire.dropped(V4)


async def test_a_socket_closed_underneath_is_reported_and_replaced(wire: Wire, firewall: Nftables) -> None:
    opened(firewall).close()
    with pytest.raises(FirewallError, match="could not be sent") as raised:
        await firewall.ban([ban(V4)], 0)
    assert raised.value.errno == EBADF
    await firewall.ban([ban(V4)], 0)
    await wire.dropped(V4)


async def test_a_receive_buffer_that_overflows_is_no_success_and_the_next_call_works(
    wire: Wire, firewall: Nftables
) -> None:
    opened(firewall).setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    absent = upsert("nowhere", "banned4", [element(bytes(4), None)]) * 200
    with pytest.raises(FirewallError, match="answer was lost") as raised:
        await firewall._netlink.commit(absent)
    assert raised.value.errno == ENOBUFS
    await firewall.ban([ban(V4)], 0)
    await wire.dropped(V4)


async def test_more_than_the_send_buffer_holds_is_refused_and_what_was_there_stands(
    wire: Wire, firewall: Nftables
) -> None:
    await firewall.start(targets(V4), [ban("192.0.2.0/24")], 0)
    opened(firewall).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    with pytest.raises(FirewallError, match="could not be sent") as raised:
        await firewall.start([*targets(V4_NEIGHBOUR), *targets(*(f"10.0.{n}.1" for n in range(250)))], [], 0)
    assert raised.value.errno == EMSGSIZE
    await wire.passes(V4)
    await wire.dropped(V4_NEIGHBOUR)


async def test_one_refused_message_undoes_the_transaction_and_is_named(wire: Wire, firewall: Nftables) -> None:
    messages: list[Message] = [
        new_table("one"),
        *upsert("amiguard", "banned4", [element(bytes([192, 0, 2, 10]), None)]),
        delete_table("absent"),
        *upsert("nowhere", "banned4", [element(bytes(4), None)]),
        new_table("two"),
    ]
    with pytest.raises(Refused, match="refused the deletion of table absent: No such file") as raised:
        await firewall._netlink.commit(messages)
    assert raised.value.message is messages[4]
    assert raised.value.errno == ENOENT
    assert wire.tables() == ["amiguard"]
    await wire.passes(V4)


async def test_the_kernels_own_words_are_carried_along(firewall: Nftables) -> None:
    with pytest.raises(Refused, match=r"\(Attribute failed policy validation\)$"):
        await firewall._netlink.commit([new_table("x" * 300)])


async def test_many_calls_at_once_each_get_their_own_outcome(wire: Wire, firewall: Nftables) -> None:
    good = [firewall.ban([ban(f"10.0.0.{n}")], 0) for n in range(100)]
    bad = [firewall._netlink.commit([delete_table(f"absent{n}")]) for n in range(100)]
    outcomes = await asyncio.gather(
        *(call for pair in zip(good, bad, strict=True) for call in pair), return_exceptions=True
    )
    assert outcomes[::2] == [None] * 100
    for n, outcome in enumerate(outcomes[1::2]):
        assert f"the deletion of table absent{n}:" in str(outcome)
    assert len(wire.elements("banned4")) == 100


async def test_a_kernel_without_the_subsystem_is_named_as_the_cause(wire: Wire, firewall: Nftables) -> None:
    await firewall.close()
    firewall._netlink = firewall._bans._netlink = Netlink(NO_SUBSYSTEM)
    with pytest.raises(FirewallError, match="no nf_tables") as raised:
        await firewall.ban([ban(V4)], 0)
    assert raised.value.errno == EOPNOTSUPP
    with pytest.raises(Refused) as refused:
        await firewall._netlink.dump(list_sets("amiguard")._replace(kind=BEYOND_ALL_SUBSYSTEMS << 8))
    assert refused.value.errno == EINVAL


async def test_sequence_numbers_may_start_again(wire: Wire, firewall: Nftables) -> None:
    firewall._netlink._sequence = (1 << 31) + 1
    await firewall.ban([ban(V4)], 0)
    await firewall.unban(targets(V4))
    assert firewall._netlink._sequence < 100
    await wire.passes(V4)


async def test_a_list_longer_than_one_answer_is_read_to_its_end(wire: Wire, firewall: Nftables) -> None:
    names = {f"set{n:04}" for n in range(1500)}
    lines = "\n".join(f"add set inet amiguard {name} {{ type ipv4_addr; }}" for name in names)
    wire.server.run(["nft", "-f", "-"], stdin=lines + "\n")
    listed = await firewall._netlink.dump(list_sets("amiguard"))
    assert len(listed) == 1500 + 6


async def test_closing_twice_and_before_the_start_is_harmless(wire: Wire) -> None:
    netlink, firewall = Netlink(NFNL_SUBSYS_NFTABLES), Nftables()
    for _ in range(2):
        await netlink.close()
        await firewall.close()
