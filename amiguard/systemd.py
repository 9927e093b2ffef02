"""Tells systemd how the service is: sd_notify(3), without its library."""

from __future__ import annotations

import asyncio
import os
import socket
import time

from amiguard.coalescing import until_next

WATCHDOG_SHARE = 3
"""The watchdog is fed this many times in its span, at moments shared with others."""


def notify(state: str) -> None:
    """Send `state` (such as `READY=1`) to systemd, if it started us; a lost message is not worth an error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            return


def notify_reloading() -> None:
    """Say that settings are read anew; `READY=1` must follow, whatever comes of it (Type=notify-reload)."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


async def feed_watchdog() -> None:
    """Tell systemd that the loop still turns, as often as it asked for, until cancelled."""
    span = os.environ.get("WATCHDOG_USEC", "")
    period = int(span) / 1_000_000 / WATCHDOG_SHARE if span.isdigit() else 0.0
    while period:
        notify("WATCHDOG=1")
        await asyncio.sleep(until_next(period, asyncio.get_running_loop().time()))
