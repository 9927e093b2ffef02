"""How long it takes from the fifth failure's bytes on the manager's socket to the kernel."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable

from tests.bench.monitor import Monitor
from tests.bench.table import Figure, quantiles
from tests.lab.guessing import attacker, attempt
from tests.lab.stage import SERVER, Stage, stage

ATTACKERS = 500
WARM_UP = 20
PAUSE = (0.002, 0.010)
"""Seconds between attackers, at random: the daemon sleeps when the next one comes."""

STEP = 0.0002
"""Seconds between an attacker's packets: without a pause they would take the CPU from whom they measure."""


async def reaction() -> list[Figure]:
    """Measure with nobody banned before."""
    async with stage() as place:
        await place.site.up()
        monitor = Monitor(place.namespace)
        try:
            acknowledged = await _measure(place, 0, monitor.committed)
        finally:
            monitor.close()
        dropped = await _measure(place, 2000, Packets(place).first_dropped)
    return [
        *quantiles("fifth failure → kernel's acknowledgement", acknowledged, p50=1, p99=5),
        *quantiles("fifth failure → first packet dropped", dropped),
    ]


async def _measure(place: Stage, first: int, seen: Callable[[str], float]) -> list[float]:
    (session,) = place.server.listeners
    took = []
    for number in range(first, first + WARM_UP + ATTACKERS):
        address = attacker(number)
        events = b"".join(attempt(address) for _ in range(5))
        start = events.rindex(b"Event: ")
        await session.play(events[:start])
        await asyncio.sleep(random.uniform(*PAUSE))
        before = time.perf_counter()
        session.transport.write(events[start:])
        took.append(seen(address) - before)
    return took[WARM_UP:]


class Packets:
    """Datagrams from an attacker, one after the other, until none arrives any more."""

    def __init__(self, place: Stage) -> None:
        self._place = place

    def first_dropped(self, address: str, timeout: float = 5) -> float:
        """Return when the first of two datagrams in a row was sent that did not arrive."""
        with self._place.namespace.entered():
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with client:
            client.bind((address, 0))
            client.connect(SERVER)
            end = time.perf_counter() + timeout
            missing = 0.0
            while (sent := time.perf_counter()) < end:
                client.send(b"REGISTER")
                if self._arrived():
                    missing = 0.0
                elif missing:
                    return missing
                else:
                    missing = sent
                time.sleep(STEP)
        raise AssertionError(f"packets of {address} still arrive after {timeout} s")

    def _arrived(self) -> bool:
        try:
            self._place.phone.recv(64)
        except BlockingIOError:
            return False
        return True
