"""Which settings can change while the daemon runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from amiguard.control.stream import Stream
from amiguard.logs import open_journal
from amiguard.notifying import hand_on_letters
from amiguard.reloading import Changes
from amiguard.settings import Settings, load


def test_every_setting_can_be_reloaded_but_where_the_daemon_is_reached() -> None:
    settings = load(None, {"AMIGUARD_ASTERISK_LOG": "/log"})
    another = settings.model_copy(update=dict.fromkeys(Settings.model_fields, object()))

    changed = Changes(settings, another)
    assert changed.fields == list(Settings.model_fields)
    assert changed.fixed == ["control_socket"]


async def test_mails_that_cant_be_moved_are_told_of_while_somebody_watches_the_log_live(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    given = {
        "FIREWALL": "dry-run",
        "ASTERISK_LOG": "/log",
        "MAIL_TO": "admin@example.org",
        "MAIL_SPOOL": tmp_path / "mail",
    }
    before = load(None, {f"AMIGUARD_{name}": str(value) for name, value in given.items()})
    after = before.model_copy(update={"mail_spool": tmp_path / "file" / "mail"})
    stream = Stream()
    with tempfile.TemporaryFile("w+") as log, stream.watching(0) as watcher:
        await hand_on_letters(before, after, open_journal(clock=lambda: 0, stream=log, tap=stream.publish))

        assert b"mail-failed" in await watcher.next()
