"""Replays logs and captures in this process, and writes the lines that a test replays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amiguard.replay.main import replay
from amiguard.settings import load_policy

Row = dict[str, Any]


class Past:
    """Replays, and sorts what comes of it. `faults` is what standard error would show."""

    def __init__(self, out: Callable[[], str]) -> None:
        self.well = True
        self.rows: list[Row] = []
        self.faults: list[str] = []
        self._out = out

    def __call__(self, *paths: Path, ami: bool = False, **options: str) -> Past:
        settings = load_policy({"asterisk_timezone": "UTC"} | options, paths, environ={})
        self.faults.clear()
        self.well = replay(paths, settings, self.faults.append, ami=ami, json=True)
        self.rows = [json.loads(line) for line in self._out().splitlines()]
        return self

    def of(self, kind: str) -> list[Row]:
        return [row for row in self.rows if row["type"] == kind]

    @property
    def banned(self) -> list[str]:
        return [row["address"] for row in self.of("ban")]

    @property
    def totals(self) -> Row:
        (row,) = self.of("totals")
        return row


def failed(time: str, address: str = "192.0.2.1", account: str = "100") -> bytes:
    what = f"Registration from '<sip:{account}@h>' failed for '{address}:5060' - Wrong password"
    return f"[{time}] NOTICE[1] chan_sip.c: {what}\n".encode()


def logged_in(time: str, address: str, account: str) -> bytes:
    """Return a SECURITY line of `time`, in ISO 8601 without a zone."""
    return (
        f'[{time.replace("T", " ")}] SECURITY[1] res_security_log.c: SecurityEvent="SuccessfulAuth",'
        f'EventTV="{time}.000+0000",Severity="Informational",Service="PJSIP",EventVersion="1",AccountID="{account}",'
        f'SessionID="call",LocalAddress="IPV4/UDP/10.0.0.1/5060",RemoteAddress="IPV4/UDP/{address}/5060",'
        'UsingPassword="1"\n'
    ).encode()


def written(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(lines))
    return path
