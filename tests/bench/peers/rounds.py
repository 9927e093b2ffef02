"""What is measured of each peer in a round: each on a stage of its own, one after the other."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from tests.bench.peers.peer import Bans, Peer
from tests.bench.peers.wires import Log, call
from tests.bench.reaction import Packets
from tests.lab.guessing import attacker
from tests.lab.stage import stage

EVENTS_EACH = 100
"""Events of each attacker in a flood."""

LIMIT = 60.0
"""Seconds that a flood gets."""

REACTION = "reaction"
WHOLE = "flood: until all 2,000 attackers of 200,000 events are banned, s"

CALLS = 20_000
SETTLE = 10.0
WINDOW, WINDOWS = 5.0, 5

MARKER = 60_000
"""The number of an attacker who takes part in nothing else."""


async def one_round(kind: type[Peer]) -> dict[str, list[float]]:
    """Start a peer; measure its start, its reactions, its reading of calls, and a flood. Return values by figure."""
    async with stage() as place:
        peer = kind(place)
        began = time.perf_counter()
        await peer.start()
        figures = {
            "start: until it hears of failures, s": [time.perf_counter() - began],
            "start: CPU, s": [peer.cpu()],
        }
        with peer.bans() as bans:
            figures[REACTION] = [await _reaction(peer, number) for number in range(peer.reactions)]
            if isinstance(peer.wire, Log):
                figures["log: CPU per line of a call, µs"] = [await _scan(peer, peer.wire, bans)]
            figures |= await _flood(peer, bans)
        peer.kill()
    return figures


async def flood_of(kind: type[Peer], attackers: int) -> tuple[int, float]:
    """Return how many of so many attackers a new peer has banned when all are, or `LIMIT` is over; and the seconds."""
    async with stage() as place:
        peer = kind(place)
        await peer.start()
        with peer.bans() as bans:
            took = await _all_banned(peer, bans, attackers)
        peer.kill()
    return bans.number, took


async def _reaction(peer: Peer, number: int) -> float:
    """Return the milliseconds from the fifth failure to the first packet that is dropped."""
    address = attacker(number)
    first, last = peer.wire.attempts([address], 4), peer.wire.attempts([address], 1)
    await peer.wire.send(first)
    await asyncio.sleep(random.uniform(*peer.wire.pause))
    began = time.perf_counter()
    peer.wire.send_now(last)
    return (Packets(peer.place).first_dropped(address) - began) * 1e3


async def _scan(peer: Peer, log: Log, bans: Bans) -> float:
    """Return the CPU per line where no line is a failure; the marker behind them tells when they were read."""
    await peer.settled(LIMIT)
    before, number = peer.cpu(), bans.number
    await log.send(b"".join(map(call, range(CALLS))) + log.attempts([attacker(MARKER)], 5))
    assert await bans.reached(number + 1, LIMIT), f"{peer.name} does not read its log"
    return (peer.cpu() - before) / CALLS * 1e6


async def _flood(peer: Peer, bans: Bans) -> dict[str, list[float]]:
    before, already = await peer.settled(LIMIT), bans.number
    took = await _all_banned(peer, bans, peer.flood)
    spent = await peer.settled(LIMIT) - before
    figures = {
        "flood: CPU per event, µs": spent / peer.flood / EVENTS_EACH * 1e6,
        "flood: most memory, MB": peer.resident(peak=True) / 1e6,
        "flood: attackers missed": peer.flood + already - bans.number,
        "flood: until all are banned, per attacker, ms": took / peer.flood * 1e3,
    }
    if peer.flood == Peer.flood:
        figures[WHOLE] = took
    return {figure: [value] for figure, value in figures.items()}


async def _all_banned(peer: Peer, bans: Bans, attackers: int) -> float:
    """Send all events at once; return after how many seconds all attackers were banned, at most `LIMIT`."""
    addresses = [attacker(1000 + number) for number in range(attackers)]
    data = peer.wire.attempts(addresses, EVENTS_EACH // peer.wire.events)
    wanted = bans.number + attackers
    began = time.perf_counter()
    sending = asyncio.create_task(peer.wire.send(data))
    in_time = await bans.reached(wanted, LIMIT)
    took = time.perf_counter() - began
    if in_time:
        await sending
    else:
        sending.cancel()
    return took


async def idle(kinds: Sequence[type[Peer]]) -> dict[str, dict[str, list[float]]]:
    """Let all be idle at the same time; return each one's share of a core and its memory, window by window."""
    async with AsyncExitStack() as stages:
        peers = [kind(await stages.enter_async_context(stage())) for kind in kinds]
        for peer in peers:
            await peer.start()
        await asyncio.sleep(SETTLE)
        shares: dict[str, list[float]] = {peer.name: [] for peer in peers}
        for _ in range(WINDOWS):
            before = {peer.name: peer.cpu() for peer in peers}
            await asyncio.sleep(WINDOW)
            for peer in peers:
                shares[peer.name].append((peer.cpu() - before[peer.name]) / WINDOW * 100)
        memory = {peer.name: [peer.resident() / 1e6] for peer in peers}
        for peer in peers:
            peer.kill()
    return {"idle: share of a core, %": shares, "idle: memory, MB": memory}
