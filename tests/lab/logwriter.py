"""Writes a log as Asterisk does, and opens it anew on SIGHUP: `python -m tests.lab.logwriter PATH LINES RATE`.

Each line is one write in append mode. The lines are numbered, so that a reader can prove that it got each once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.lab.waiting import wait_until

BATCH = 10
NUMBER = re.compile(rb" n=(\d{8}) ")


def line(number: int) -> bytes:
    """The line with this number, with its time, without its line feed."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    words = f"[{now}] NOTICE[4242] res_pjsip/pjsip_distributor.c: n={number:08d} Request 'REGISTER' from '<sip:100@x>'"
    return words.encode() + b" failed for '192.0.2.1:5060' (callid: \xff\x00abc) - No matching endpoint found"


def numbers(lines: list[bytes]) -> list[int]:
    """The numbers of such lines."""
    return [int(found[1]) for each in lines if (found := NUMBER.search(each))]


def open_log(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def write(path: Path, count: int, rate: float) -> None:
    """Write `count` lines, `rate` a second; 0 = as fast as possible. On SIGHUP open the path anew."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    fd = open_log(path)
    began = time.monotonic()
    for first in range(0, count, BATCH):
        due = began + first / rate - time.monotonic() if rate else 0
        if signal.sigtimedwait({signal.SIGHUP}, max(0, due)):
            os.close(fd)
            fd = open_log(path)
        for number in range(first, min(count, first + BATCH)):
            os.write(fd, line(number) + b"\n")
    os.close(fd)


class Writer:
    """Such a writer, in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    @property
    def done(self) -> bool:
        return self.process.poll() is not None

    def reopen(self) -> None:
        """Tell it to open the path anew, as `logger reload` does."""
        self.process.send_signal(signal.SIGHUP)


@contextmanager
def writing(path: Path, count: int, rate: float, user: int | None = None) -> Iterator[Writer]:
    """Run a writer, as this user if one is given, until the end of the block; it has begun when this returns."""
    size = path.stat().st_size if path.exists() else 0
    command = [sys.executable, "-m", "tests.lab.logwriter", str(path), str(count), str(rate)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], user=user)
    try:
        wait_until(lambda: path.exists() and path.stat().st_size > size, what="the first line")
        yield Writer(process)
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
