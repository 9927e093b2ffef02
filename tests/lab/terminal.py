"""A terminal of our own, and a command that writes to it."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def seen_on_terminal(
    command: Sequence[str], environ: Mapping[str, str], *, out: bool, err: bool, patience: float
) -> tuple[int, bytes]:
    """Run a command whose output and complaints, or one of the two, go to a terminal; return how it ended and what that
    was sent. `patience`: seconds in which it must end once it has closed the terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(environ) | {"TERM": "xterm"},
        stdout=theirs if out else subprocess.DEVNULL,
        stderr=theirs if err else subprocess.DEVNULL,
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while part := os.read(ours, 65536):
                seen += part
        except OSError:  # Linux ends a terminal without writers with EIO
            pass
        finally:
            os.close(ours)
        return process.wait(patience), seen
