"""How a peer is told of failures: by the manager interface, or by the log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Protocol

from tests.lab.guessing import EVENTS, attempt, attempts
from tests.lab.stage import Stage

CHUNK = 64 << 10
_sessions = count()


class Wire(Protocol):
    """One way into a peer. `events` make one failed attempt; `pause` is how long a peer may take until it sleeps."""

    events: int
    pause: tuple[float, float]

    def attempts(self, addresses: Sequence[str], each: int) -> bytes:
        """Return what tells that each of these failed so many times, one attempt of each in turn."""

    async def send(self, data: bytes) -> None:
        """Tell it as fast as it is taken."""

    def send_now(self, data: bytes) -> None:
        """Tell it in this very step."""


class Ami:
    """Manager events, as captured of Asterisk 22."""

    events = EVENTS
    pause = (0.002, 0.010)

    def __init__(self, place: Stage) -> None:
        self._server = place.server

    def attempts(self, addresses: Sequence[str], each: int) -> bytes:
        if each == 1:
            return b"".join(map(attempt, addresses))
        return b"".join(attempts(addresses, each))

    async def send(self, data: bytes) -> None:
        await self._server.play(data)

    def send_now(self, data: bytes) -> None:
        (session,) = self._server.listeners
        session.transport.write(data)


class Log:
    """SECURITY lines, which amiguard and fail2ban both know."""

    events = 1
    pause = (0.05, 0.6)

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()

    def attempts(self, addresses: Sequence[str], each: int) -> bytes:
        now = datetime.now(UTC)
        return b"".join(line(address, now) for _ in range(each) for address in addresses)

    async def send(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK):
            self.send_now(data[start : start + CHUNK])
            await asyncio.sleep(0)

    def send_now(self, data: bytes) -> None:
        with self.path.open("ab", buffering=0) as file:
            file.write(data)


def line(address: str, now: datetime) -> bytes:
    """Return what Asterisk 22 writes of a wrong password."""
    return (
        f'[{now:%Y-%m-%d %H:%M:%S}] SECURITY[4242] res_security_log.c: SecurityEvent="ChallengeResponseFailed",'
        f'EventTV="{now:%Y-%m-%dT%H:%M:%S}.123+0000",Severity="Error",Service="PJSIP",EventVersion="1",AccountID="6001",'
        f'SessionID="e27861aa1578-{next(_sessions)}",LocalAddress="IPV4/UDP/198.19.255.254/5060",'
        f'RemoteAddress="IPV4/UDP/{address}/5060",Challenge="1795342076/1a6943d8a8549af4",'
        'Response="49b8f224176117c8",ExpectedResponse=""\n'
    ).encode()


def call(number: int) -> bytes:
    """Return a line that tells of no attempt, as most of a busy server's log."""
    now = datetime.now(UTC)
    return (
        f"[{now:%Y-%m-%d %H:%M:%S}] VERBOSE[23658][C-0000001a] pbx.c: Executing [{number}@from-internal:1] "
        f'NoOp("PJSIP/6001-0000001a", "Incoming call from {number}") in new stack\n'
    ).encode()
