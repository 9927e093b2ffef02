"""The secret is in no log line, no repr, no error and no traceback, and panoramisk writes no log at all."""

from __future__ import annotations

import logging
import sys
import traceback

import pytest

from amiguard.errors import SourceError
from amiguard.sources.ami import AmiSettings, probe
from amiguard.sources.ami.protocol import AmiProtocol, Hidden
from tests.lab.fakeami import FakeAmi, Login, Script
from tests.lab.waiting import until
from tests.unit.sources.ami.support import SECRET, quick, running


def told(error: BaseException) -> str:
    """The traceback with every local variable, as a careless logger shows it."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(report.format())


def test_the_settings_do_not_show_it() -> None:
    assert SECRET not in repr(AmiSettings(username="u", secret=SECRET))


def test_an_action_does_not_show_it() -> None:
    assert SECRET not in repr({"Secret": Hidden(SECRET)})
    assert f"{Hidden(SECRET)}" == SECRET


@pytest.mark.parametrize("script", [Script(secret="x"), Script(login=Login.SILENT), Script(login=Login.CLOSED)])
async def test_no_traceback_shows_it(script: Script) -> None:
    async with FakeAmi(script) as server:
        with pytest.raises(SourceError) as caught:
            await probe(quick(server, login_timeout=0.1))
        assert "Login" in told(caught.value)
        assert SECRET not in told(caught.value)


async def test_no_log_line_shows_it(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        server.kick()
        await work.connected_again(server, 2)
        server.script = Script(secret="changed")
        server.kick()
        await until(lambda: "refused" in work.last_error, what="a refused login")
        assert SECRET not in repr(work.journal.lines)
        assert SECRET not in repr(vars(work.source))
    assert SECRET.encode() in server.received
    records = [record for record in caplog.records if not record.name.startswith("asyncio")]
    assert not records
    assert SECRET not in caplog.text
    sys.stderr.flush()
    assert capfd.readouterr().err == ""


async def test_panoramisk_can_not_log_what_it_fails_to_send(capfd: pytest.CaptureFixture[str]) -> None:
    async with FakeAmi() as server:
        protocol = AmiProtocol()
        with pytest.raises(AttributeError):  # no transport yet: the worst that can happen to a write
            await protocol.request(1, Action="Login", Secret=Hidden(SECRET))
        assert server.connections == 0
    assert SECRET not in capfd.readouterr().err
