"""SIGHUP: the daemon goes by new settings, all or none, and loses no count, no ban and no event."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from amiguard.model import Address, Target
from tests.lab.daemon import Daemon
from tests.lab.fakeami import Script
from tests.lab.guessing import attacker
from tests.lab.logwriter import NUMBER, line
from tests.lab.ports import free_port
from tests.lab.stage import SECRET, Stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

ATTACKER, NEIGHBOUR = "198.18.0.7", "198.18.0.8"
COUNTRIES = Path(__file__).parents[1] / "data/countries.mmdb"
OLD, NEW = "Canary-0815-old-token", "Canary-0815-new-token"
WRONG = "Canary-1337-which-is-wrong"


class Reloaded:
    """A daemon whose settings stand in a file, and are changed there."""

    def __init__(self, place: Stage) -> None:
        self.place = place
        self._file = place.site.folder / "amiguard.env"
        own = {"DATABASE": str(place.site.database), "CONTROL_SOCKET": str(place.site.folder / "control.sock")}
        self._settings = own | place.site.settings
        place.site.settings = {"ENV_FILE": str(self._file)} | dict.fromkeys(own, "")  # the environment would win
        self.daemon: Daemon

    def write(self, **settings: str) -> None:
        self._settings |= settings
        self._file.write_text("".join(f"AMIGUARD_{name}='{value}'\n" for name, value in self._settings.items()))

    async def up(self, **settings: str) -> Daemon:
        self.write(**settings)
        self.daemon = await self.place.site.up()
        return self.daemon

    async def change(self, **settings: str) -> Any:
        """Change the file and send SIGHUP; return what the log then says was changed."""
        return (await self._hang_up("settings-reloaded", settings))["amiguard.changed"]

    async def refused(self, **settings: str) -> str:
        """Change the file and send SIGHUP; return what the log then says is wrong with it."""
        told = await self._hang_up("settings-refused", settings)
        assert told["log.level"] == "error"
        return "; ".join(told["amiguard.problems"])

    async def all_counted(self, wanted: int) -> None:
        """Wait until so many failures are counted; more are a mistake."""
        failures = 0
        end = time.monotonic() + 20
        while failures < wanted:
            assert time.monotonic() < end, f"{failures} of {wanted}"
            failures = (await self.daemon.status())["totals"]["failures"]
        assert failures == wanted

    async def _hang_up(self, action: str, settings: dict[str, str]) -> dict[str, Any]:
        before = len(self.daemon.lines(action))
        self.write(**settings)
        os.kill(self.daemon.pid, signal.SIGHUP)
        return (await self.daemon.told(action, before + 1))[-1]


@pytest.fixture
def reloaded(place: Stage) -> Reloaded:
    return Reloaded(place)


async def test_what_was_counted_before_a_reload_counts_after_it(reloaded: Reloaded, place: Stage) -> None:
    daemon = await reloaded.up(MAXRETRY="5")
    await place.guess(ATTACKER, times=3)
    await daemon.told("failure", 3)

    changed = await reloaded.change(MAXRETRY="4", BANTIME="2h")

    assert {"AMIGUARD_MAXRETRY", "AMIGUARD_BANTIME", "AMIGUARD_UNPROVEN_BANTIME"} <= set(changed)  # the last follows

    await place.guess(ATTACKER)
    (ban,) = await daemon.told("ban")
    assert (ban["amiguard.failures"], ban["amiguard.bantime"]) == (4, 7200)
    assert daemon.lines("ami-lost") == []


async def test_one_wrong_setting_keeps_all_others_out_too(reloaded: Reloaded, place: Stage) -> None:
    daemon = await reloaded.up()

    problem = await reloaded.refused(MAXRETRY="2", BANTIME="for ages", AMI_SECRET=WRONG)

    assert problem.startswith("AMIGUARD_BANTIME (in ")
    await place.guess(ATTACKER, times=4)
    await daemon.told("failure", 4)
    assert daemon.lines("ban") == []
    await place.guess(ATTACKER)
    assert (await daemon.told("ban"))[0]["amiguard.bantime"] == 3600
    assert WRONG not in daemon.log.read_text()


async def test_what_needs_a_restart_is_named(reloaded: Reloaded, place: Stage) -> None:
    daemon = await reloaded.up()

    problem = await reloaded.refused(MAXRETRY="1", CONTROL_SOCKET=str(place.site.folder / "elsewhere"))

    assert problem == "AMIGUARD_CONTROL_SOCKET can't change without a restart"
    await place.guess(ATTACKER)
    await daemon.told("failure")
    assert daemon.lines("ban") == []


async def test_a_token_rotates_while_bans_and_counts_stay(reloaded: Reloaded, place: Stage) -> None:
    port = free_port()
    daemon = await reloaded.up(HTTP_LISTEN=f"127.0.0.1:{port}", HTTP_TOKEN=OLD)
    await place.guess(ATTACKER, times=5)
    await place.guess(NEIGHBOUR, times=4)
    await daemon.told("failure", 9)
    with _watching(place, port, OLD) as events:
        assert await reloaded.change(HTTP_TOKEN=NEW) == ["AMIGUARD_HTTP_TOKEN"]

        await until(lambda: _ended(events), what="the end of the old token's event stream")
    assert (_status(place, port, OLD), _status(place, port, NEW)) == (401, 200)
    assert not await place.arrives(ATTACKER)
    await place.guess(NEIGHBOUR)
    await daemon.told("ban", 2)
    assert OLD not in daemon.log.read_text()
    assert NEW not in daemon.log.read_text()


async def test_a_port_moves_and_one_that_is_taken_keeps_the_old_one(reloaded: Reloaded, place: Stage) -> None:
    first, second, taken = free_port(), free_port(), place.server.port
    daemon = await reloaded.up(HTTP_LISTEN=f"127.0.0.1:{first}", HTTP_TOKEN=OLD)

    problem = await reloaded.refused(HTTP_LISTEN=f"127.0.0.1:{taken}", HTTP_TOKEN=NEW, MAXRETRY="1")

    assert f"can't listen on 127.0.0.1 port {taken}: Address already in use" in problem
    assert (_status(place, first, OLD), _status(place, first, NEW)) == (200, 401)
    await place.guess(ATTACKER)
    await daemon.told("failure")
    assert daemon.lines("ban") == []

    await reloaded.change(HTTP_LISTEN=f"127.0.0.1:{second}", HTTP_TOKEN=OLD, MAXRETRY="5")
    assert _status(place, second, OLD) == 200
    with pytest.raises(ConnectionRefusedError):
        _status(place, first, OLD)


async def test_the_socket_is_given_to_another_group(reloaded: Reloaded, place: Stage) -> None:
    await reloaded.up(CONTROL_GROUP="")
    socket = place.site.folder / "control.sock"

    await reloaded.change(CONTROL_GROUP="daemon")
    assert socket.group() == "daemon"

    assert "there is no group nosuch" in await reloaded.refused(CONTROL_GROUP="nosuch")
    assert socket.group() == "daemon"


async def test_the_database_moves_with_all_that_is_known(reloaded: Reloaded, place: Stage) -> None:
    daemon = await reloaded.up()
    new = place.site.folder / "elsewhere" / "moved.db"
    await place.guess(ATTACKER, times=5)
    await place.guess(NEIGHBOUR, times=4)
    await daemon.told("failure", 9)
    await daemon.control.allow(Target("203.0.113.9"), "office")

    assert "AMIGUARD_DATABASE" in await reloaded.change(DATABASE=str(new))
    await place.guess(NEIGHBOUR)
    await daemon.told("ban", 2)
    daemon.kill()
    reloaded.daemon = await place.site.up()

    assert {*place.site.kernel()} == {ATTACKER, NEIGHBOUR}
    assert "203.0.113.9" in place.site.allowed()
    assert daemon.lines("store-failed", "unban", "expire") == []


async def test_a_place_where_no_database_can_be_changes_nothing(reloaded: Reloaded, place: Stage) -> None:
    daemon = await reloaded.up()
    precious, port = place.site.folder / "precious", free_port()
    precious.write_text("precious")

    problem = await reloaded.refused(DATABASE=str(precious), HTTP_LISTEN=f"127.0.0.1:{port}")

    assert problem.startswith(f"the database can't move: {precious} is there already: move it away, or restart ")
    assert precious.read_text() == "precious"
    with pytest.raises(ConnectionRefusedError):
        _status(place, port, "")
    await place.guess(ATTACKER, times=5)
    await daemon.told("ban")
    reloaded.write(DATABASE=str(place.site.database))
    daemon.kill()
    await place.site.up()
    assert [*place.site.kernel()] == [ATTACKER]


async def test_who_is_allowed_by_a_reload_is_let_through_and_who_no_longer_is_can_be_banned(
    reloaded: Reloaded, place: Stage
) -> None:
    daemon = await reloaded.up()
    await place.guess(ATTACKER, NEIGHBOUR, times=5)
    await daemon.told("ban", 2)

    await reloaded.change(IGNOREIP=f"127.0.0.0/8 {ATTACKER}")

    await until(lambda: [*place.site.kernel()] == [NEIGHBOUR])
    assert await place.arrives(ATTACKER)
    assert not await place.arrives(NEIGHBOUR)
    await reloaded.change(IGNOREIP="127.0.0.0/8")
    await place.guess(ATTACKER, times=5)
    await daemon.told("ban", 3)
    assert not await place.arrives(ATTACKER)


async def test_a_dry_run_lets_everybody_through_and_its_end_bans_them_again(reloaded: Reloaded, place: Stage) -> None:
    daemon = await reloaded.up()
    await place.guess(ATTACKER, times=5)
    await daemon.told("ban")

    await reloaded.change(FIREWALL="dry-run")
    assert await place.arrives(ATTACKER)

    await reloaded.change(FIREWALL="nftables")
    assert not await place.arrives(ATTACKER)
    assert (await daemon.status())["bans"]["active"] == 1


async def test_a_new_ami_connection_takes_over_and_every_attempt_counts_once(reloaded: Reloaded, place: Stage) -> None:
    await reloaded.up(MAXRETRY="1000")
    over = asyncio.Event()

    async def attack() -> int:
        for number in count():
            await place.guess(*map(attacker, range(20 * number, 20 * (number + 1))))
            await asyncio.sleep(0.001)
            if over.is_set():
                return 20 * (number + 1)
        raise AssertionError

    attacking = asyncio.create_task(attack())
    for host in ("localhost", "127.0.0.1"):
        assert await reloaded.change(AMI_HOST=host) == ["AMIGUARD_AMI_HOST"]
    over.set()
    attempts = await attacking
    assert attempts > 100
    await reloaded.all_counted(attempts)
    await place.guess(ATTACKER)
    await reloaded.all_counted(attempts + 1)
    await until(lambda: len(place.server.listeners) == 1, what="the end of the old connections")


async def test_a_login_that_does_not_work_is_refused_and_the_old_connection_stays(
    reloaded: Reloaded, place: Stage
) -> None:
    daemon = await reloaded.up()

    problem = await reloaded.refused(AMI_SECRET=WRONG, MAXRETRY="2")

    assert "Asterisk refused manager user 'amiguard'" in problem
    await place.guess(ATTACKER, times=4)
    await daemon.told("failure", 4)
    assert daemon.lines("ban", "ami-lost") == []
    assert SECRET not in daemon.log.read_text()
    assert WRONG not in daemon.log.read_text()


async def test_a_wrong_login_can_be_put_right(reloaded: Reloaded, place: Stage) -> None:
    place.server.script = Script(secret=SECRET)
    reloaded.write(AMI_SECRET=WRONG)
    reloaded.daemon = place.site.start()
    await reloaded.daemon.told("ami-lost")

    assert await reloaded.change(AMI_SECRET=SECRET) == ["AMIGUARD_AMI_SECRET"]

    await reloaded.daemon.told("ami-connected")


async def test_a_log_is_read_on_where_it_was_read_to(reloaded: Reloaded, place: Stage, tmp_path: Path) -> None:
    first, second = tmp_path / "full", tmp_path / "messages"
    first.touch()
    second.write_bytes(_told(ATTACKER, 0) * 9)
    daemon = await reloaded.up(ASTERISK_LOG=str(first), ASTERISK_TIMEZONE="UTC", MAXRETRY="1000")
    await daemon.told("log-opened")
    over = asyncio.Event()

    async def write() -> int:
        with first.open("ab", buffering=0) as log:
            for number in count():
                log.write(_told(attacker(number), number))
                await asyncio.sleep(0)
                if over.is_set():
                    return number + 1
        raise AssertionError

    writing = asyncio.create_task(write())
    await reloaded.change(ASTERISK_LOG=f"{first} {second}")
    await reloaded.change(ASTERISK_LOG=str(first), ASTERISK_TIMEZONE="Etc/UTC")
    over.set()
    lines = await writing
    assert lines > 100
    await reloaded.all_counted(lines)
    with first.open("ab") as log:
        log.write(_told(ATTACKER, lines))
    await reloaded.all_counted(lines + 1)


async def test_mails_that_wait_move_into_the_new_spool(reloaded: Reloaded, place: Stage, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    mail = {"MAIL_TO": "ops@example.org", "SMTP_HOST": "127.0.0.1", "WHOIS": "false", "MAIL_EVENTS": "ban"}
    daemon = await reloaded.up(**mail, MAIL_SPOOL=str(old))
    await place.guess(ATTACKER, times=5)
    await until(lambda: len([*old.glob("*.mail")]) == 1, what="a mail in the spool")
    await place.guess(NEIGHBOUR, times=5)
    await daemon.told("ban", 2)

    await reloaded.change(MAIL_SPOOL=str(new))

    await until(lambda: len([*new.glob("*.mail")]) == 2, what="both mails in the new spool")
    assert [*old.glob("*.mail")] == []


async def test_countries_are_told_from_a_reload_on_and_what_each_ban_dropped(reloaded: Reloaded, place: Stage) -> None:
    daemon = await reloaded.up(FIREWALL_COUNTERS="true")
    address = Address(Target("192.0.2.7"))
    place.namespace.run(["ip", "route", "add", "local", f"{address}/32", "dev", "lo"])
    await daemon.control.ban(Target(address), None, "")
    assert not await place.arrives(address)
    assert "country" not in await daemon.control.offender(address)

    await reloaded.change(GEOIP_DATABASE=str(COUNTRIES))

    told = await daemon.control.offender(address)
    (ban,) = told["bans"]
    assert (told["country"], ban["country"], ban["dropped"]["packets"]) == ("DE", "DE", 1)
    assert ban["dropped"]["bytes"] >= 29  # IPv4's header, UDP's, and a byte


async def test_the_own_log_changes_its_level(reloaded: Reloaded, place: Stage) -> None:
    daemon = await reloaded.up(LOG_LEVEL="info")

    await reloaded.change(LOG_LEVEL="warning")

    await place.guess(ATTACKER, times=5)
    await daemon.told("ban")
    assert daemon.lines("failure") == []


def _status(place: Stage, port: int, token: str) -> int:
    """Ask over TCP, and return HTTP's status."""
    with place.namespace.entered():
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.connect()
    with closing(connection):
        connection.request("GET", "/api/v1/status", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status


@contextmanager
def _watching(place: Stage, port: int, token: str) -> Iterator[socket.socket]:
    """Open the event stream over TCP."""
    with place.namespace.entered():
        watcher = socket.create_connection(("127.0.0.1", port), timeout=10)
    with watcher:
        request = (
            f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        )
        watcher.sendall(request.encode())
        assert watcher.recv(64).startswith(b"HTTP/1.1 200 ")
        watcher.setblocking(False)
        yield watcher


def _ended(watcher: socket.socket) -> bool:
    try:
        while watcher.recv(65536):
            pass
    except BlockingIOError:
        return False
    return True


def _told(address: str, number: int) -> bytes:
    """Return a line of a failed attempt, each of another Call-ID."""
    text = line(number).replace(b"192.0.2.1", address.encode()).replace(b"callid: \xff\x00abc", b"callid: %d" % number)
    return NUMBER.sub(b" ", text) + b"\n"
