from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from amiguard.errors import FeedError
from amiguard.feeds.feed import LEASE, PlainFeed, Source
from amiguard.feeds.file import File
from amiguard.feeds.reading import Reading
from amiguard.feeds.settings import FeedSettings
from amiguard.journal import Action
from amiguard.listed import Listed
from amiguard.lists import Delta
from amiguard.model import Timestamp
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until

STALE = 100_000
SETTINGS = FeedSettings(version="1", interval=0.001, retry=0.001, stale=STALE, limit=5_000)


@dataclass
class Taken:
    """A `lists.Taker` that remembers."""

    lists: list[Listed] = field(default_factory=list)
    told: list[Mapping[str, object]] = field(default_factory=list)
    renewed: list[Timestamp] = field(default_factory=list)
    forgotten: int = 0

    def replace(self, name: str, listed: Listed, told: Mapping[str, object]) -> None:
        self.lists.append(listed)
        self.told.append(told)

    async def change(self, name: str, delta: Delta) -> None:
        raise AssertionError("nobody asked for it")

    def renew(self, name: str, end: Timestamp) -> None:
        self.renewed.append(end)

    def forget(self, name: str) -> None:
        self.forgotten += 1

    @property
    def sizes(self) -> list[int]:
        return [len(one) for one in self.lists]


@dataclass
class Scripted:
    """A source that answers as the test says: lines, None for unchanged, or an error; the last answer is repeated."""

    answers: list[list[str] | FeedError | None]
    where: str = "https://lists.example.org"
    trusted: bool = False
    asked: int = 0
    accepted: int = 0
    forgotten: int = 0

    async def fetch(self, reading: Reading) -> bool:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, FeedError):
            raise answer
        if answer is not None:
            reading.feed("".join(f"{line}\n" for line in answer).encode())
            reading.finish()
        return answer is not None

    def accept(self) -> None:
        self.accepted += 1

    def forget(self) -> None:
        self.forgotten += 1


@dataclass
class Setting:
    feed: PlainFeed
    taken: Taken
    journal: RecordingJournal
    now: list[int]


@asynccontextmanager
async def feeding(source: Source, settings: FeedSettings = SETTINGS) -> AsyncIterator[Setting]:
    taken, journal, now = Taken(), RecordingJournal(), [1_000]
    feed = PlainFeed("voipbl", source, taken, settings, journal=journal, clock=lambda: now[0])
    running = asyncio.create_task(feed.run())
    try:
        yield Setting(feed, taken, journal, now)
    finally:
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()


def many(count: int) -> list[str]:
    return [f"45.9.{one // 256}.{one % 256}" for one in range(count)]


async def test_a_list_is_taken_with_an_end_that_the_kernel_knows_and_once_only_while_it_stays_the_same() -> None:
    source = Scripted([many(5)])
    async with feeding(source) as one:
        await until(lambda: source.asked > 5)
    assert one.taken.sizes == [5]
    ((_, part),) = one.taken.lists[0].parts.items()
    assert set(part.ends) == {1_000 + STALE * LEASE}
    status = one.feed.status()
    assert (status["up"], status["error"], status["age"], status["failures"]) == (True, "", 0, 0)


async def test_what_stays_the_same_is_renewed_before_the_kernel_lets_it_go() -> None:
    source = Scripted([many(5), None])
    async with feeding(source) as one:
        await until(lambda: source.asked > 3)
        assert one.taken.renewed == []
        one.now[0] += STALE // 2 + 1
        await until(lambda: len(one.taken.renewed) == 1)
        assert one.taken.renewed == [one.now[0] + STALE * LEASE]
        asked = source.asked
        await until(lambda: source.asked > asked + 2)
    assert len(one.taken.renewed) == 1


async def test_what_fails_changes_nothing_and_is_told_once_until_it_is_stale() -> None:
    source = Scripted([many(5), FeedError("https://lists.example.org: HTTP status 500")])
    async with feeding(source) as one:
        await until(lambda: source.asked > 4)
        assert one.taken.sizes == [5]
        assert one.taken.forgotten == 0
        [line] = one.journal.of(Action.FEED_FAILED)
        assert "500" in line.message
        assert "goes on being dropped" in line.message
        one.now[0] += STALE + 1
        await until(lambda: one.taken.forgotten == 1)
        status = one.feed.status()
        assert (status["up"], status["age"]) == (False, None)
        failures = one.feed.status()["failures"]
        await until(lambda: one.feed.status()["failures"] != failures)
        [_, stale] = one.journal.of(Action.FEED_FAILED)
        assert "nobody is dropped for it any more" in stale.message
        source.answers = [many(7)]
        await until(lambda: one.taken.sizes == [5, 7])
    assert source.forgotten == 1


async def test_a_list_that_comes_back_unchanged_is_told() -> None:
    source = Scripted([many(5), FeedError("HTTP status 500"), None])
    async with feeding(source) as one:
        await until(lambda: one.journal.count(Action.FEED_UPDATED) == 1)
    assert "again" in one.journal.of(Action.FEED_UPDATED)[0].message


async def test_a_server_that_wants_to_be_left_alone_is() -> None:
    source = Scripted([FeedError("HTTP status 429", wait=3600)])
    async with feeding(source) as one:
        await until(lambda: one.feed.status()["failures"] == 1)
        for _ in range(50):
            await asyncio.sleep(0.001)
    assert source.asked == 1


async def test_a_list_that_shrinks_to_almost_nothing_is_believed_when_it_says_so_twice() -> None:
    source = Scripted([many(200), many(3), many(200), many(3), many(3)])
    async with feeding(source) as one:
        await until(lambda: one.taken.sizes == [200, 3])
    assert [line.message for line in one.journal.of(Action.FEED_FAILED) if "shrank from 200" in line.message]
    assert one.feed.status()["failures"] == 2
    assert source.accepted >= 3


async def test_an_empty_answer_is_no_list_but_an_empty_file_is_one(tmp_path: Path) -> None:
    source = Scripted([many(5), []])
    async with feeding(source) as one:
        await until(lambda: source.asked > 3)
        assert one.taken.sizes == [5]
        assert "names nobody" in str(one.feed.status()["error"])

    path = tmp_path / "blocklist"
    path.write_text("\n".join(many(200)))
    async with feeding(File(path, SETTINGS)) as one:
        await until(lambda: one.taken.sizes == [200])
        path.write_text("# nobody any more\n")
        await until(lambda: one.taken.sizes == [200, 0])
        path.unlink()
        await until(lambda: one.journal.count(Action.FEED_FAILED) == 1)
        assert "No such file" in one.journal.of(Action.FEED_FAILED)[0].message
        assert one.taken.forgotten == 0
        path.write_text("45.9.9.1\n")
        await until(lambda: one.taken.sizes == [200, 0, 1])


async def test_what_is_no_file_or_too_large_a_one_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    huge = tmp_path / "huge"
    huge.touch()
    os.truncate(huge, 10_000_000_000)
    for path, said in ((tmp_path / "fifo", "no file"), (tmp_path, "no file"), (huge, "bytes")):
        async with feeding(File(path, SETTINGS)) as one:
            await until(lambda: one.journal.count(Action.FEED_FAILED) >= 1)
            assert said in one.journal.of(Action.FEED_FAILED)[0].message
