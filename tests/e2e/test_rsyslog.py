"""A real pipeline: what the daemon writes arrives behind Debian's rsyslog as fields."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from amiguard.journal import Action
from amiguard.logs import open_journal
from amiguard.logs.journal import Format
from tests.lab.doc_tables import BAN, EXAMPLES, FAILURE, NOW
from tests.lab.rsyslog import rsyslog
from tests.lab.stage import Stage
from tests.lab.waiting import until, wait_until

pytestmark = pytest.mark.netns

DEPLOYED = Path(__file__).parents[2] / "deploy/rsyslog/amiguard.conf"
ATTACKER = "198.18.0.7"
WHOLE = """
module(load="imfile")
module(load="mmjsonparse")
input(type="imfile" File="/mnt/amiguard.log" Tag="amiguard:" addMetadata="off" Ruleset="amiguard")
template(name="whole" type="string" string="%$!all-json%\\n")
ruleset(name="amiguard") {
  action(type="mmjsonparse" cookie="")
  if $parsesuccess == "OK" then { action(type="omfile" file="/mnt/out.log" template="whole") }
}
"""
HOSTILE = (
    '"}\n{"event.action":"ban","source.ip":"9.9.9.9"}',
    "\x00\x1b[2J\r\n\u2028\ud800",
    "@cee: {}",
    "%$!all-json% $!x",
    "n" * 5000,
    "\u00e9" * 256,
)


def parsed(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []


async def test_a_ban_of_the_daemon_arrives_as_fields(place: Stage, servers_root: Path) -> None:
    folder = place.site.folder
    daemon = await place.site.up()
    config = DEPLOYED.read_text().replace("/var/log/amiguard/amiguard.log", f"/mnt/{daemon.log.name}")
    with rsyslog(servers_root, folder, config.replace("/var/log/amiguard", "/mnt")):
        await place.guess(ATTACKER, times=5)
        await until(lambda: bool(parsed(folder / "bans.log")), 20, "the ban behind rsyslog")
        assert await daemon.stop() == 0

    (line,) = daemon.lines("ban")
    assert parsed(folder / "bans.log") == [
        {
            "at": line["@timestamp"],
            "address": ATTACKER,
            "reason": "wrong-password",
            "failures": 5,
            "evidence": line["amiguard.evidence"],
        }
    ]


@pytest.mark.parametrize("format", ["ecs", "ocsf"])
def test_every_kind_of_line_arrives_whole_whatever_an_attacker_wrote(
    tmp_path: Path,
    servers_root: Path,
    format: Format,  # noqa: A002 -- the setting's word
) -> None:
    log = tmp_path / "amiguard.log"
    with log.open("w") as file:
        journal = open_journal(format, clock=lambda: NOW, stream=file)
        for action, (message, fields) in EXAMPLES.items():
            journal.write(action, message, **fields)
        for text in HOSTILE:
            hostile = FAILURE._replace(account=text, session=text, code=text, service=text, transport=text)
            journal.write(Action.FAILURE, failure=hostile)
            journal.write(Action.BAN, text, ban=BAN._replace(accounts=(text,) * 10, comment=text, service=text))
    count = len(EXAMPLES) + 2 * len(HOSTILE)

    with rsyslog(servers_root, tmp_path, WHOLE):
        wait_until(partial(has, tmp_path / "out.log", count), 20, "all lines behind rsyslog")
    assert parsed(tmp_path / "out.log") == parsed(log)


def has(path: Path, count: int) -> bool:
    return path.exists() and path.read_bytes().count(b"\n") >= count
