"""Nothing that was acknowledged is lost when the process is killed."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from amiguard.stores.sqlite import SqliteStore
from tests.unit.stores.conftest import NOW

ROOT = Path(__file__).parents[3]

WRITER = """
import asyncio, sys
from pathlib import Path
from amiguard.stores.sqlite import SqliteStore
from tests.lab.journal import SilentJournal
from tests.unit.stores.conftest import NOW, ban

async def main():
    store = SqliteStore(Path(sys.argv[1]), SilentJournal())
    await store.open(NOW)
    for batch in range(100_000):
        await store.write([ban(f"10.{batch >> 8 & 255}.{batch & 255}.{number}") for number in range(5)])
        print(batch, flush=True)

asyncio.run(main())
"""


def killed(path: Path, life: int) -> list[int]:
    """Let a process write to the database, kill it after `life` batches, and return the batches it had acknowledged."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(life)]
        writer.kill()
        return told + [int(line) for line in writer.stdout]


@pytest.mark.parametrize("life", [1, random.Random(7).randint(2, 60), 200])
async def test_every_acknowledged_ban_survives_kill_9(path: Path, store: SqliteStore, life: int) -> None:
    told = killed(path, life)

    saved = await store.open(NOW)

    whole = {f"10.{batch >> 8 & 255}.{batch & 255}.{number}" for batch in told for number in range(5)}
    assert whole <= {ban.target for ban in saved.bans}
    assert len(saved.bans) % 5 == 0
