"""Whatever stands in the stream, our own responses are found in it and the connection lives."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from amiguard.asterisk.schema import SecurityEvent
from amiguard.sources.ami.intake import AmiIntake
from amiguard.sources.ami.protocol import AmiProtocol
from tests.lab.fakeami import BANNER, security_event
from tests.lab.journal import RecordingJournal

ATTACKER = "198.51.100.7"
SHORT = 36
"""Bytes of a name that PJSIP keeps."""

words = st.sampled_from(
    [
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"Event: ",
        b"Shutdown",
        b"Response: ",
        b"Success",
        b"ActionID: ",
        b"Message: ",
        b"SessionID: ",
        b"RemoteAddress: IPV4/UDP/9.9.9.9/1",
        b"\xff",
    ]
)
texts = st.lists(words, max_size=8).map(lambda parts: b"".join(parts)[:SHORT])
events = texts.map(lambda text: security_event(account="@@").replace(b"@@", text))
strays = st.sampled_from(
    [
        b"Event: Shutdown\r\nPrivilege: system,all\r\n\r\n",
        b"Event: FullyBooted\r\nPrivilege: system,all\r\n\r\n",
        b"Response: Success\r\nActionID: action/1/1\r\nMessage: x\r\n\r\n",
        b"Response: Error\r\nActionID: a\r\nActionID: b\r\nMessage: x\r\nMessage: y\r\n\r\n",
        b"Response: Follows\r\n\r\n",
    ]
)
noise = st.lists(events | strays, max_size=6).map(b"".join)


class Wire(asyncio.Transport):
    """A transport that remembers what was written; its socket is a real one."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__({"socket": end, "sockname": ("127.0.0.1", 40_000)})
        self.written = b""
        self.aborted = False

    @override
    def write(self, data: Any) -> None:
        self.written += data

    @override
    def abort(self) -> None:
        self.aborted = True


def deliver(protocol: AmiProtocol, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        protocol.get_buffer(-1)[: len(piece)] = piece
        protocol.buffer_updated(len(piece))


async def play(make: Callable[[bytes], bytes], size: int) -> tuple[list[SecurityEvent], dict[str, str], Wire]:
    """Ask for a pong, play what `make` builds around it, and return what was heard and answered."""
    heard: list[SecurityEvent] = []
    intake = AmiIntake("amiguard", heard.append, RecordingJournal(), lambda: 0)
    with socket.socket() as end:
        protocol, wire = AmiProtocol(intake.receive), Wire(end)
        protocol.connection_made(wire)
        deliver(protocol, BANNER, size)
        asked = asyncio.create_task(protocol.request(5, Action="Ping"))
        await asyncio.sleep(0)
        found = re.search(rb"ActionID: ([0-9a-f-]{36})\r\n", wire.written)
        assert found is not None
        deliver(protocol, make(b"Response: Success\r\nActionID: " + found[1] + b"\r\nPing: Pong\r\n\r\n"), size)
        answer = await asked
        intake.end()
    return heard, answer, wire


@given(noise, noise, st.integers(1, 700))
def test_our_response_is_found_and_the_next_event_heard(before: bytes, after: bytes, size: int) -> None:
    last = security_event(account="last", remote="IPV4/UDP/203.0.113.9/5061")

    heard, answer, wire = asyncio.run(play(lambda pong: before + pong + after + last, size))

    assert answer["Response"] == "Success"
    assert not wire.aborted
    assert [event.account for event in heard if event.address == "203.0.113.9"] == ["last"]
    assert {event.address for event in heard} <= {ATTACKER, "203.0.113.9"}


@given(st.binary(max_size=3000), st.integers(1, 500))
def test_no_bytes_whatever_end_the_connection(data: bytes, size: int) -> None:
    heard, answer, wire = asyncio.run(play(lambda pong: data + b"\r\n\r\n" + pong + security_event(), size))

    assert answer["Response"] == "Success"
    assert not wire.aborted
    assert [event.address for event in heard] == [ATTACKER]
