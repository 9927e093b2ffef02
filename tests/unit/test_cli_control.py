"""Commands that talk to the daemon: the allowlist, many addresses at once, live events, reloading, completion."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amiguard.control.server import ControlServer
from amiguard.control.stream import Stream
from amiguard.errors import SettingsError
from amiguard.model import Ban, Reason, Target
from tests.lab.journal import RecordingJournal
from tests.lab.shell import Ended, Shell
from tests.lab.waiting import until
from tests.unit.control.conftest import ALLOWED, NOW, FakeGuard, serving


@pytest.fixture
def guard() -> FakeGuard:
    return FakeGuard()


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def problems() -> list[str]:
    """What is wrong with the settings."""
    return []


@pytest.fixture
async def server(tmp_path: Path, guard: FakeGuard, stream: Stream, problems: list[str]) -> AsyncIterator[ControlServer]:
    async def reload() -> list[str]:
        if problems:
            raise SettingsError(problems)
        return ["AMIGUARD_MAXRETRY", "AMIGUARD_FINDTIME"]

    server = serving(tmp_path / "amiguard.sock", guard, RecordingJournal(), stream, reload=reload)
    await server.start()
    yield server
    await server.close()


@pytest.fixture
def amiguard(server: ControlServer, tmp_path: Path) -> Shell:
    return Shell(tmp_path / "amiguard.sock")


async def test_somebody_is_allowed_listed_and_taken_back(amiguard: Shell, guard: FakeGuard) -> None:
    await guard.ban(Target("192.0.2.1"), None, "")

    assert await amiguard("allow", "192.0.2.1", "--comment", "the branch") == Ended(
        0, "192.0.2.1 is never banned; its ban of 192.0.2.1 is lifted\n", ""
    )
    listed = await amiguard("allow")
    assert [re.split(r" {2,}", line) for line in listed.out.splitlines()] == [
        ["192.0.2.200", "name", "trunk.example", "2027-01-15T08:00:00Z"],
        ["192.0.2.1", "runtime", "the branch", "-"],
    ]
    assert [one["address"] for one in json.loads((await amiguard("allow", "--json")).out)] == [ALLOWED, "192.0.2.1"]
    assert await amiguard("allow", "192.0.2.1", "--remove") == Ended(0, "192.0.2.1 may be banned again\n", "")
    again = await amiguard("allow", "192.0.2.1", "--remove")
    assert (again.code, again.err) == (1, "amiguard: 192.0.2.1 is not among those that an administrator allowed\n")


async def test_the_bans_that_an_allowed_network_lifts_are_counted(
    amiguard: Shell, guard: FakeGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifted = [Ban(Target(f"192.0.2.{number}"), NOW, None, Reason.ACL) for number in range(3)]

    async def allow(_: Target, __: str) -> list[Ban]:
        return lifted

    monkeypatch.setattr(guard, "allow", allow)
    assert (await amiguard("allow", "192.0.2.0/24")).out == "192.0.2.0/24 is never banned; 3 bans are lifted\n"
    lifted.clear()
    assert (await amiguard("allow", "192.0.2.0/24")).out == "192.0.2.0/24 is never banned\n"


async def test_who_is_allowed_is_banned_by_force(amiguard: Shell, guard: FakeGuard) -> None:
    assert (await amiguard("ban", ALLOWED)).code == 1
    assert (await amiguard("ban", ALLOWED, "--force")).code == 0
    assert list(guard.running) == [ALLOWED]


async def test_everything_that_is_known_of_an_address_is_shown(amiguard: Shell, guard: FakeGuard) -> None:
    await guard.ban(Target("192.0.2.1"), None, "")

    assert json.loads((await amiguard("show", "192.0.2.1", "--json")).out)["banned"] is True
    assert [line.split() for line in (await amiguard("show", "192.0.2.2")).out.splitlines()][:2] == [
        ["address", "192.0.2.2"],
        ["banned", "no"],
    ]
    assert (await amiguard("show", "192.0.2.0/24")).code == 2


async def test_many_are_banned_and_unbanned_from_standard_input_or_a_file(
    amiguard: Shell, guard: FakeGuard, tmp_path: Path
) -> None:
    many = "# from the other server\n192.0.2.1 some remark\n\n198.51.100.0/24\n2001:db8::1 # here too\n192.0.2.1\n"
    file = tmp_path / "many"
    with file.open("w") as opened:
        opened.write(many + ALLOWED)

    assert await amiguard("ban", "-", input=many) == Ended(0, "banned: 3, refused: 0\n", "")
    assert list(guard.running) == ["192.0.2.1", "198.51.100.0/24", "2001:db8::1"]
    assert await amiguard("ban", "--file", str(file)) == Ended(
        1, "banned: 3, refused: 1\n", f"amiguard: {ALLOWED} is in the allowlist\n"
    )
    lifted = await amiguard("unban", "-", "--json", input=many)
    assert [json.loads(line)["address"] for line in lifted.out.splitlines()] == [
        "192.0.2.1",
        "198.51.100.0/24",
        "2001:db8::1",
    ]
    assert not guard.running


async def test_many_are_allowed_and_taken_back(amiguard: Shell, guard: FakeGuard, tmp_path: Path) -> None:
    file = tmp_path / "branches"
    file.write_text("192.0.2.64/28  # ours\n2001:db8::1\n")

    assert await amiguard("allow", "--file", str(file), "--comment", "ours") == Ended(0, "allowed: 2, refused: 0\n", "")
    assert {target: one.comment for target, one in guard.exempt.items()} == {
        "192.0.2.64/28": "ours",
        "2001:db8::1": "ours",
    }
    assert "100%" in await asyncio.to_thread(amiguard.on_terminal, "allow", "--remove", "--file", str(file), err=True)
    assert not guard.exempt
    assert await amiguard("allow", "-", "--remove", input="2001:db8::1") == Ended(
        1,
        "taken back: 0, refused: 1\n",
        "amiguard: 2001:db8::1 is not among those that an administrator allowed\n",
    )


async def test_of_many_a_wrong_one_is_told_by_its_line_and_nothing_is_done(amiguard: Shell, guard: FakeGuard) -> None:
    ended = await amiguard("ban", "-", input="192.0.2.1\nphone.example\n")

    assert (ended.code, ended.out) == (2, "")
    assert "line 2" in ended.err
    assert not guard.running


@pytest.mark.parametrize(
    "arguments",
    [
        ["ban", "192.0.2.1", "--file", "x"],
        ["ban", "--file", "/nowhere"],
        ["unban", "--all", "--file", "x"],
        ["allow", "--remove"],
    ],
)
async def test_what_contradicts_itself_is_wrong_usage(amiguard: Shell, arguments: list[str]) -> None:
    assert (await amiguard(*arguments)).code == 2


async def test_a_bar_shows_on_a_terminal_how_far_many_are_and_nowhere_else(
    amiguard: Shell, guard: FakeGuard, tmp_path: Path
) -> None:
    file = tmp_path / "many"
    with file.open("w") as opened:
        opened.writelines(f"10.0.{n >> 8}.{n & 255}\n" for n in range(500))

    shown = await asyncio.to_thread(amiguard.on_terminal, "ban", "--file", str(file), err=True)
    assert "100%" in shown
    assert len(guard.running) == 500

    shown = await asyncio.to_thread(amiguard.on_terminal, "unban", "--file", str(file), err=True)
    assert "100%" in shown
    assert not guard.running

    assert await amiguard("ban", "--file", str(file)) == Ended(0, "banned: 500, refused: 0\n", "")


async def test_what_happens_is_told_as_one_json_object_a_line_in_a_pipe(
    amiguard: Shell, server: ControlServer, stream: Stream
) -> None:
    stream.publish('{"event.action":"ban","n":1}')
    watching = asyncio.create_task(amiguard("tail"))
    await until(lambda: stream.watchers == 1, timeout=20)
    stream.publish('{"event.action":"unban","n":2}')
    await server.close()
    ended = await watching

    assert [json.loads(line)["n"] for line in ended.out.splitlines()] == [1, 2]
    assert (ended.code, ended.err) == (3, "amiguard: the daemon has ended\n")


async def test_what_happens_is_told_in_colour_on_a_terminal_that_an_attacker_can_not_drive(
    amiguard: Shell, server: ControlServer, stream: Stream
) -> None:
    line = {
        "@timestamp": "2027-01-15T08:00:00.000Z",
        "log.level": "warning",
        "event.action": "ban",
        "message": "banned",
    }
    stream.publish(json.dumps(line | {"user.name": "\x1b[2J\u202e", "ecs.version": "9"}))
    watching = asyncio.create_task(asyncio.to_thread(amiguard.on_terminal, "tail"))
    await until(lambda: stream.watchers == 1, timeout=20)
    await server.close()
    shown = await watching

    assert "\x1b[33mwarning\x1b[0m ban: banned" in shown
    assert "\\x1b[2J\\u202e" in shown
    assert "\x1b[2J" not in shown
    assert "ecs.version" not in shown


async def test_settings_are_reloaded_or_what_is_wrong_is_told(amiguard: Shell, problems: list[str]) -> None:
    assert await amiguard("reload") == Ended(0, "changed: AMIGUARD_MAXRETRY, AMIGUARD_FINDTIME\n", "")
    problems += ["AMIGUARD_MAXRETRY: is wrong"]
    assert await amiguard("reload") == Ended(
        1, "", "amiguard: the settings are wrong; the old ones stay; AMIGUARD_MAXRETRY: is wrong\n"
    )


async def test_the_shell_completes_commands_and_who_is_banned(amiguard: Shell, guard: FakeGuard) -> None:
    for address in ("192.0.2.1", "192.0.2.2", "198.51.100.1"):
        guard.running[Target(address)] = Ban(Target(address), NOW, None, Reason.ACL)

    async def completed(words: str, number: int) -> list[str]:
        asking = {"_AMIGUARD_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        return (await amiguard(environ=asking)).out.split()

    assert await completed("amiguard re", 1) == ["replay", "reload"]
    assert sorted(await completed("amiguard unban 192", 2)) == ["192.0.2.1", "192.0.2.2"]


async def test_who_has_no_daemon_is_told_so_by_every_command_that_needs_one(tmp_path: Path) -> None:
    nobody = Shell(tmp_path / "nobody.sock")

    for command in (["allow"], ["allow", "192.0.2.1"], ["reload"], ["tail"], ["ban", "-"]):
        ended = await nobody(*command, input="192.0.2.1\n")
        assert (ended.code, ended.out) == (3, ""), command
        assert ended.err.startswith(f"amiguard: the daemon can't be reached at {tmp_path}{os.sep}nobody.sock: ")


async def test_a_node_tells_of_its_fleet_and_fails_while_redis_does_not_answer(
    amiguard: Shell, guard: FakeGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, object] = {"up": True, "error": "", "waiting": 2, "nodes": []}
    told["nodes"] = [{"node": "pbx1", "version": "0.1.0", "seen": 3}]
    monkeypatch.setattr(guard, "status", lambda: {"ready": True, "fleet": told})

    shown = await amiguard("fleet", "status")
    assert (shown.code, shown.err) == (0, "")
    assert [re.split(r" {2,}", line) for line in shown.out.splitlines()] == [
        ["up", "yes"],
        ["error", "-"],
        ["waiting", "2"],
        ["pbx1", "0.1.0", "0:00:03 ago"],
    ]
    assert json.loads((await amiguard("fleet", "status", "--json")).out) == told

    told["up"] = False
    assert (await amiguard("fleet", "status")).code == 1


async def test_a_node_that_is_alone_says_so(amiguard: Shell, guard: FakeGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "status", lambda: {"ready": True, "fleet": None})
    alone = await amiguard("fleet", "status")
    assert (alone.code, alone.err) == (1, "amiguard: this node is alone: AMIGUARD_REDIS_URL is empty\n")
