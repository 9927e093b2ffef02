"""Every attack that was captured from a real Asterisk arrives over the socket as the parser alone reads it."""

from __future__ import annotations

from functools import partial

import pytest

from amiguard.asterisk.events import EventParser
from tests.lab.captures import captures
from tests.lab.fakeami import FakeAmi
from tests.lab.judge import parse
from tests.lab.waiting import until
from tests.unit.sources.ami.support import Running, quick, running


def all_told(work: Running, count: int) -> bool:
    return len(work.events) >= count and work.source.intake.parser.deadline is None


@pytest.mark.parametrize(("size", "cases"), [(13, ""), (1, "22-pjsip/h-pct")])
async def test_a_capture_reads_the_same_over_the_socket_and_never_ends_the_connection(size: int, cases: str) -> None:
    played = 0
    async with FakeAmi() as server, running(quick(server, ping_interval=0.5, ping_timeout=5)) as work:
        await work.connected()
        for capture in captures():
            if not capture.name.startswith(cases):
                continue
            expected = parse([capture.raw], EventParser())
            work.events.clear()
            await server.play(capture.raw, size)
            await until(partial(all_told, work, len(expected)), what=f"the events of {capture.name}")
            assert work.events == expected, capture.name
            played += 1
        assert played > 5
        assert (server.connections, work.reconnects) == (1, 0)
