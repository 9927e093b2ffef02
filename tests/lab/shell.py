"""Runs the command line as a shell does: in a pipe, and on a terminal."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab.terminal import ROOT, seen_on_terminal

PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("AMIGUARD_")}
PATIENCE = 30


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Shell:
    """Starts `amiguard`, with this control socket unless it is None."""

    socket: Path | None = None

    @property
    def environ(self) -> dict[str, str]:
        """What a command finds in its environment."""
        return PLAIN | ({} if self.socket is None else {"AMIGUARD_CONTROL_SOCKET": str(self.socket)})

    async def __call__(self, *arguments: str, input: str = "", environ: Mapping[str, str] | None = None) -> Ended:  # noqa: A002 -- subprocess's word
        """Run a command to its end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "amiguard", *arguments),
            cwd=ROOT,
            env=self.environ | dict(environ or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(input.encode())
        return Ended(process.returncode or 0, out.decode(), err.decode())

    def on_terminal(self, *arguments: str, err: bool = False, columns: int = 120) -> str:
        """Run a command to its end, and return what it writes to a terminal: its output, or its complaints."""
        command = [sys.executable, "-m", "amiguard", *arguments]
        environ = self.environ | {"COLUMNS": str(columns)}
        return seen_on_terminal(command, environ, out=not err, err=err, patience=PATIENCE)[1].decode()
