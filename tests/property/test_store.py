"""The store against a plain dictionary."""

from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from amiguard.journal import Action
from amiguard.model import Ban, Evidence, Origin, Reason, Target
from amiguard.ports import Change, Ended, Ending
from amiguard.stores.sqlite import SqliteStore

TARGETS = st.sampled_from([Target("192.0.2.1"), Target("192.0.2.2"), Target("2001:db8::/64")])
TEXT = st.text(max_size=20)

BANS = st.builds(
    Ban,
    target=TARGETS,
    since=st.just(0),
    until=st.none() | st.integers(1_000, 2**60),
    reason=st.sampled_from(Reason),
    origin=st.sampled_from(Origin),
    evidence=st.none() | st.sampled_from(Evidence),
    failures=st.integers(0, 10**6),
    earlier=st.integers(0, 1000),
    accounts=st.lists(TEXT, max_size=10).map(tuple),
    service=TEXT,
    transport=TEXT,
    source=TEXT,
    comment=TEXT,
)
ENDINGS = st.builds(Ended, target=TARGETS, at=st.just(0), ending=st.sampled_from(Ending))


class Silent:
    def write(self, action: Action, message: str = "", /, **fields: object) -> None:
        raise AssertionError(f"nothing ends in this test: {action} {message} {fields}")


@settings(max_examples=60)
@given(batches=st.lists(st.lists(BANS | ENDINGS, max_size=6), max_size=5), twice=st.booleans())
async def test_the_store_is_a_dictionary_that_outlives_the_process_and_counts_each_ban_once(
    batches: list[list[Change]], twice: bool
) -> None:
    running: dict[Target, Ban] = {}
    history: dict[Target, int] = {}
    clock = count(1)
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "amiguard.db", Silent())
        await store.open(0)
        for batch in batches:
            changes: list[Change] = []
            for change in batch:
                if isinstance(change, Ban):
                    ban = change._replace(since=next(clock))
                    running[ban.target] = ban
                    history[ban.target] = history.get(ban.target, 0) + 1
                    changes.append(ban)
                elif isinstance(change, Ended):
                    running.pop(change.target, None)
                    changes.append(change)
            for _ in range(1 + twice):
                await store.write(changes)
        saved = await store.open(0)
        await store.close()
    assert {ban.target: ban for ban in saved.bans} == running
    assert saved.history == history
