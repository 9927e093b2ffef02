"""How the connection is made, watched, lost and made again."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from amiguard.errors import SettingsError
from amiguard.journal import Action
from amiguard.sources.ami import AmiSettings
from tests.lab.fakeami import BANNER, FakeAmi, Login, Script, remote_of, security_event
from tests.lab.waiting import until
from tests.unit.sources.ami.support import SECRET, quick, running, sockets

EVENT = security_event(account="after")


async def test_a_banner_in_pieces_is_a_banner() -> None:
    script = Script(banner=(b"Aster", b"isk Call Manager/11", b".0.0\r", b"\n"))
    async with FakeAmi(script) as server, running(quick(server)) as work:
        await work.connected()
        assert work.journal.of(Action.AMI_CONNECTED)[0].fields["banner"] == "Asterisk Call Manager/11.0.0"
        assert server.connections == 1


@pytest.mark.parametrize(
    "banner", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 smtp ready\r\n", b"\x15\x03\x01"]
)
async def test_what_is_no_asterisk_never_gets_the_secret(banner: bytes) -> None:
    async with FakeAmi(Script(banner=(banner,))) as server, running(quick(server)) as work:
        await until(lambda: server.connections >= 3, what="three tries")
        assert not server.received
        assert not work.source.connected
        assert "not an Asterisk manager" in work.last_error


async def test_who_says_nothing_never_gets_the_secret() -> None:
    async with FakeAmi(Script(banner=())) as server, running(quick(server, banner_timeout=0.05)) as work:
        await until(lambda: server.connections >= 3, what="three tries")
        assert not server.received
        assert "no banner" in work.last_error


async def test_only_security_events_are_asked_for() -> None:
    async with FakeAmi(Script(secret=SECRET)) as server, running(quick(server)) as work:
        await work.connected()
        login = server.logins[0]
        assert (login["Username"], login["Secret"], login["Events"]) == ("amiguard", SECRET, "security")


async def test_a_refused_login_is_told_and_tried_again_slowly() -> None:
    settings = {"refused_retry": (0.6, 2), "secret": "wrong"}
    async with FakeAmi(Script(secret=SECRET)) as server, running(quick(server, **settings)) as work:
        started = asyncio.get_running_loop().time()
        await until(lambda: len(server.logins) == 2, what="a second login")
        assert asyncio.get_running_loop().time() - started >= 0.3
        _, message, fields = work.journal.of(Action.AMI_LOST)[0]
        assert "refused manager user 'amiguard'" in message
        assert fields["retry_in"] == pytest.approx(0.45, abs=0.16)
        assert not work.journal.of(Action.AMI_CONNECTED)


async def test_a_login_that_nobody_answers_ends() -> None:
    settings = {"login_timeout": 0.05}
    async with FakeAmi(Script(login=Login.SILENT)) as server, running(quick(server, **settings)) as work:
        await until(lambda: len(server.logins) >= 2, what="a second login")
        assert "did not answer Login" in work.last_error


async def test_a_connection_closed_in_the_middle_of_a_login_is_made_again() -> None:
    async with FakeAmi(Script(login=Login.CLOSED)) as server, running(quick(server)) as work:
        await until(lambda: len(server.logins) >= 2, what="a second login")
        assert "closed the connection" in work.last_error


async def test_a_dead_connection_is_noticed_by_its_missing_pong() -> None:
    async with FakeAmi(Script(pong=False)) as server, running(quick(server, ping_timeout=0.05)) as work:
        await until(lambda: server.connections >= 3, what="two reconnects")
        assert "did not answer Ping" in work.last_error
        pings = [action for action in server.actions if action["Action"] == "Ping"]
        assert len(pings) <= server.connections, "one unanswered ping is enough"


async def test_a_late_pong_in_a_flood_of_events_is_no_dead_connection() -> None:
    async with FakeAmi(Script(pong=False)) as server, running(quick(server, ping_timeout=0.2)) as work:
        await work.connected()

        async def trickled() -> bool:
            await server.play(EVENT)
            return sum(action["Action"] == "Ping" for action in server.actions) >= 3

        await until(trickled, what="three pings without a pong")
        assert (server.connections, work.reconnects) == (1, 0)


async def test_pings_are_sent_one_by_one() -> None:
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        await until(lambda: len(server.actions) >= 6, what="five pings")
        ids = [action["ActionID"] for action in server.actions]
        assert len(set(ids)) == len(ids)
        assert server.connections == 1


async def test_a_restart_of_asterisk_is_survived() -> None:
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        since = work.source.status()["since"]
        await server.play(EVENT)
        await work.heard(1)
        server.kick()
        await work.connected_again(server, 2)
        await server.play(EVENT)
        await work.heard(2)
        assert [line.action for line in work.journal.lines] == [
            Action.AMI_CONNECTED,
            Action.AMI_LOST,
            Action.AMI_CONNECTED,
        ]
        assert work.reconnects == 1
        assert since is not None
        assert work.source.status()["last_event"] is not None


async def test_an_asterisk_that_always_hangs_up_is_not_stormed() -> None:
    settings = {"retry": (0.2, 2.0)}
    async with FakeAmi(Script(login=Login.CLOSED)) as server, running(quick(server, **settings)) as work:
        await until(lambda: len(work.journal.of(Action.AMI_LOST)) >= 4, what="four failures")
        assert server.connections == 4
        waits = [line.fields["retry_in"] for line in work.journal.of(Action.AMI_LOST)]
        for wait, ceiling in zip(waits, (0.2, 0.4, 0.8, 1.6), strict=True):
            assert isinstance(wait, float)
            assert ceiling / 2 <= wait <= ceiling


async def test_a_login_without_a_surviving_ping_does_not_shorten_the_waits() -> None:
    async with FakeAmi() as server, running(quick(server, ping_interval=5, retry=(0.04, 0.6))) as work:
        for connections in range(2, 7):
            await work.connected()
            server.kick()
            await work.connected_again(server, connections)
        wait = work.journal.of(Action.AMI_LOST)[-1].fields["retry_in"]
        assert isinstance(wait, float)
        assert wait >= 0.3, "the fifth wait is a long one"


async def test_a_user_without_read_security_is_told_and_tried_again() -> None:
    async with FakeAmi(Script(security_class=False)) as server, running(quick(server, canary_timeout=0.05)) as work:
        await until(lambda: server.connections >= 2, what="a second login")
        assert not work.source.connected
        assert "read = security" in work.journal.of(Action.AMI_LOST)[0].message
        assert not work.journal.of(Action.AMI_CONNECTED)
        server.script = Script()
        await work.connected()


async def test_events_prove_the_permission_where_the_canary_is_filtered_out() -> None:
    settings = {"canary_timeout": 0.05, "deaf_retry": 60}
    async with FakeAmi(Script(canary=False)) as server, running(quick(server, **settings)) as work:
        await until(lambda: len(work.journal.of(Action.AMI_LOST)) == 1, what="the complaint")
        await server.play(EVENT)
        await work.connected()
        assert [event.account for event in work.events] == ["after"]
        assert server.connections == 1


async def test_our_own_traffic_is_not_told() -> None:
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        peer = server.listeners[0].peer
        server.kick()
        await work.connected_again(server, 2)
        old = security_event(
            "InvalidPassword", service="AMI", account="amiguard", remote=remote_of((peer[0], peer[1] + 1))
        )
        gone = security_event(
            "RequestNotAllowed", service="AMI", account="", remote=remote_of(peer), more=[("RequestType", "Filter")]
        )
        stranger = security_event("InvalidPassword", service="AMI", account="amiguard", remote="IPV4/TCP/192.0.2.77/1")
        neighbour = security_event(
            "InvalidPassword", service="AMI", account="admin", remote=remote_of((peer[0], peer[1] + 1))
        )
        phone = security_event(account="amiguard", remote=remote_of(peer))
        await server.play(old + gone + stranger + neighbour + phone)
        await work.heard(3)
        assert [(event.service, event.account, event.address) for event in work.events] == [
            ("AMI", "amiguard", "192.0.2.77"),
            ("AMI", "admin", peer[0]),
            ("PJSIP", "amiguard", peer[0]),
        ]
        assert work.source.intake.events == 3


async def test_manager_events_that_are_held_back_arrive_without_further_traffic() -> None:
    held = security_event(service="AMI", account="admin", remote="IPV4/TCP/192.0.2.77/1")
    async with FakeAmi() as server, running(quick(server, ping_interval=30)) as work:
        await work.connected()
        await server.play(held)
        await work.heard(1)
        assert work.events[0].address == "192.0.2.77"


async def test_manager_events_that_are_held_back_survive_the_end_of_the_connection() -> None:
    held = security_event(service="AMI", account="admin", remote="IPV4/TCP/192.0.2.77/1")
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        await server.play(held + EVENT)
        await until(lambda: work.source.intake.parser.deadline is not None, what="held back")
        server.kick()
        await until(lambda: not work.source.connected, what="the end")
        assert [event.account for event in work.events] == ["admin", "after"]


async def test_the_receive_buffer_is_large_and_dead_peers_are_noticed_by_the_kernel() -> None:
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        ours = [socket.socket(fileno=os.dup(number)) for number in sockets().values()]
        client = [sock for sock in ours if sock.getsockname() == server.listeners[0].peer]
        assert len(client) == 1
        assert client[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 4 << 20
        assert client[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert client[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
        for sock in ours:
            sock.close()


async def test_asterisk_is_found_over_ipv6_and_by_name() -> None:
    async with FakeAmi(host="::1") as server, running(quick(server)) as work:
        await work.connected()
    async with FakeAmi() as server, running(quick(server, host="localhost")) as work:
        await work.connected()


@pytest.mark.parametrize("host", ["a" * 70 + ".invalid", "no-such-host.invalid", ""])
async def test_a_host_that_does_not_exist_is_tried_for_ever(host: str) -> None:
    settings = AmiSettings(host=host, port=1, username="amiguard", secret=SECRET, retry=(0.01, 0.02))
    async with running(settings) as work:
        await until(lambda: len(work.journal.of(Action.AMI_LOST)) >= 3, timeout=30, what="three tries")
        assert not work.source.connected


@pytest.mark.parametrize(
    ("username", "secret"),
    [("u\r\nX-Injected: 1", "s"), ("u", "s\r\nAction: Originate"), ("u\n", "s"), ("", "s"), ("u", "\udcff")],
)
def test_a_line_break_in_the_credentials_is_refused(username: str, secret: str) -> None:
    with pytest.raises(SettingsError) as caught:
        AmiSettings(username=username, secret=secret)
    assert secret not in str(caught.value).split()


def test_the_banner_of_the_stand_in_is_asterisks() -> None:
    assert BANNER.startswith(b"Asterisk Call Manager/")
