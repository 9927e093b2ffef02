"""What the store remembers."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from amiguard.errors import StoreError
from amiguard.journal import Action
from amiguard.model import MINUTE, MINUTES, Address, Allowed, AllowOrigin, Ban, Minute, Origin, Phone, Reason, Target
from amiguard.policy import RECIDIVE_FINDTIME
from amiguard.ports import Disallowed, Ended, Ending, Position, Resolved
from amiguard.stores import schema, sqlite
from amiguard.stores.sqlite import REMEMBERED, SqliteStore
from tests.lab.journal import RecordingJournal
from tests.unit.stores.conftest import HOUR, NOW, ban, mode

GUESSER = Target("198.51.100.7")


def ended(target: str, at: int = NOW) -> Ended:
    return Ended(Target(target), at, Ending.UNBAN)


async def test_a_new_database_is_empty_and_only_for_its_owner_and_group(store: SqliteStore, path: Path) -> None:
    saved = await store.open(NOW)

    assert list(saved.bans) == []
    assert dict(saved.history) == {}
    assert mode(path) == 0o640
    assert mode(path.parent) == 0o750


async def test_a_ban_comes_back_with_every_field(store: SqliteStore) -> None:
    manual = Ban(Target("2001:db8::/64"), NOW, None, Reason.MANUAL, Origin.MANUAL, comment="“scanner”\n", earlier=3)
    bans = [ban("192.0.2.1"), manual, ban("198.51.100.0/24", until=NOW + 1)]
    await store.open(NOW)
    await store.write(bans)

    saved = await store.open(NOW)

    assert sorted(saved.bans, key=lambda one: one.target) == sorted(bans, key=lambda one: one.target)
    assert {hash(one) for one in saved.bans} == {hash(one) for one in bans}
    assert saved.history == {one.target: 1 for one in bans}


async def test_bans_of_a_database_from_before_there_were_two_strengths_get_theirs_by_their_evidence(
    store: SqliteStore, path: Path
) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    for statement in schema.MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    evidences = {"192.0.2.1": ', "evidence": "datagram"', "192.0.2.2": ', "evidence": "connected"', "192.0.2.3": ""}
    for target, evidence in evidences.items():
        details = f'{{"reason": "acl", "origin": "local"{evidence}}}'
        connection.execute("INSERT INTO bans VALUES (?, 1, NULL, 5, 0, '[]', ?)", (target, details))
    connection.commit()
    connection.close()

    saved = await store.open(NOW)

    assert {one.target: one.absolute for one in saved.bans} == {
        "192.0.2.1": False,
        "192.0.2.2": True,
        "192.0.2.3": True,
    }


async def test_the_minutes_of_the_last_day_come_back_and_never_are_more_rows_than_a_day_has(
    store: SqliteStore, path: Path
) -> None:
    await store.open(NOW)
    minutes = [Minute(NOW + number * MINUTE, number, 1) for number in range(3 * MINUTES)]
    await store.write(minutes)
    end = minutes[-1].at
    await store.write([Minute(end, 7, 7)])

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM minutes").fetchone() == (MINUTES,)
    saved = await store.open(end)
    assert sorted(saved.minutes) == [*minutes[-MINUTES:-1], Minute(end, 7, 7)]
    assert len((await store.open(end + MINUTES * MINUTE // 2)).minutes) == MINUTES // 2


async def test_a_permanent_ban_never_ends(store: SqliteStore) -> None:
    await store.open(NOW)
    await store.write([ban(GUESSER, until=None)])

    saved = await store.open(NOW * 2)

    assert [one.target for one in saved.bans] == [GUESSER]


async def test_a_ban_that_ended_meanwhile_is_logged_once_and_remembered_in_the_history(
    store: SqliteStore, journal: RecordingJournal
) -> None:
    await store.open(NOW)
    await store.write([ban(GUESSER, until=NOW + HOUR), ban("192.0.2.1", until=NOW + HOUR + 1)])

    saved = await store.open(NOW + HOUR)
    await store.open(NOW + HOUR)

    assert [one.target for one in saved.bans] == ["192.0.2.1"]
    assert saved.history == {GUESSER: 1, "192.0.2.1": 1}
    assert [(line.action, bool(line.message), line.fields["ban"]) for line in journal.lines] == [
        (Action.EXPIRE, True, ban(GUESSER))
    ]


async def test_an_unbanned_target_is_not_banned_again_at_the_next_start(store: SqliteStore) -> None:
    await store.open(NOW)
    await store.write([ban(GUESSER), ban("192.0.2.1")])
    await store.write([ended(GUESSER), ended("203.0.113.9")])

    saved = await store.open(NOW)

    assert [one.target for one in saved.bans] == ["192.0.2.1"]
    assert saved.history[GUESSER] == 1


async def test_an_unban_holds_although_the_clock_was_set_back_meanwhile(store: SqliteStore) -> None:
    await store.open(NOW)
    await store.write([ban(GUESSER)])
    await store.write([ended(GUESSER, at=NOW - HOUR)])

    assert not (await store.open(NOW)).bans


async def test_changes_hold_in_their_order(store: SqliteStore) -> None:
    await store.open(NOW)
    again = ban(GUESSER, since=NOW + 2, until=NOW + HOUR)
    await store.write([ban(GUESSER), ended(GUESSER), again, ended("192.0.2.1"), ban("192.0.2.1")])

    saved = await store.open(NOW)

    assert {one.target: one for one in saved.bans} == {GUESSER: again, "192.0.2.1": ban("192.0.2.1")}
    assert saved.history[GUESSER] == 2


async def test_a_longer_end_for_the_same_ban_counts_no_second_ban(store: SqliteStore) -> None:
    await store.open(NOW)
    await store.write([ban(GUESSER)])
    await store.write([ban(GUESSER, until=None)])

    saved = await store.open(NOW)

    assert list(saved.bans) == [ban(GUESSER, until=None)]
    assert saved.history == {GUESSER: 1}


async def test_offenders_are_forgotten_a_year_after_their_newest_ban_began(store: SqliteStore) -> None:
    await store.open(NOW)
    await store.write([ban(GUESSER, since=NOW), ban("192.0.2.1", since=NOW + 1), ended(GUESSER), ended("192.0.2.1")])

    assert (await store.open(NOW + REMEMBERED + 1)).history == {"192.0.2.1": 1}


async def test_the_newest_offenders_are_remembered_when_there_are_too_many(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "MAX_OFFENDERS", 10)
    await store.open(NOW)
    await store.write([ban(f"10.0.0.{number}", since=NOW + number) for number in range(50)])

    saved = await store.open(NOW)

    assert set(saved.history) == {f"10.0.0.{number}" for number in range(40, 50)}
    assert len(saved.bans) == 50


async def test_the_table_of_offenders_is_cut_back_while_the_daemon_runs(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "MAX_OFFENDERS", 10)
    monkeypatch.setattr(sqlite, "TIDY_AFTER", 100)
    await store.open(NOW)
    for batch in range(25):
        await store.write([ban(f"10.0.{batch}.{number}", since=NOW + batch * 10 + number) for number in range(10)])
    await store.close()

    with sqlite3.connect(path) as connection:
        [count] = connection.execute("SELECT count(*) FROM offenders").fetchone()
    connection.close()
    assert count == 60


async def test_writers_at_the_same_time_do_not_mix_their_transactions(store: SqliteStore) -> None:
    await store.open(NOW)
    await asyncio.gather(*(store.write([ban(f"10.0.0.{number}"), ban(f"10.0.1.{number}")]) for number in range(50)))

    assert len((await store.open(NOW)).bans) == 100


async def test_a_write_that_is_cancelled_leaves_no_transaction_behind(store: SqliteStore) -> None:
    await store.open(NOW)
    for turns in range(12):
        writing = asyncio.create_task(store.write([ban(GUESSER)]))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])

    await store.write([ban("192.0.2.1")])

    assert Target("192.0.2.1") in {one.target for one in (await store.open(NOW)).bans}


async def test_a_closed_store_refuses_changes_and_may_be_closed_twice(store: SqliteStore, path: Path) -> None:
    await store.open(NOW)
    await store.close()
    await store.close()

    with pytest.raises(StoreError, match=f"{path} is not open"):
        await store.write([ban(GUESSER)])
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["amiguard.db"]


async def test_a_hundred_thousand_bans_come_back_each_as_it_was(store: SqliteStore) -> None:
    bans = [ban(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}") for number in range(100_000)]
    await store.open(NOW)
    await store.write(bans)

    saved = await store.open(NOW)

    assert set(saved.bans) == set(bans)
    assert len(saved.bans) == len(saved.history) == 100_000


async def test_the_positions_in_the_logs_are_kept_the_newest_of_each_file(store: SqliteStore) -> None:
    first, second = Position("/var/log/full", 1, 2, 300, "64:abc"), Position("/var/log/security", 1, 3, 0, "0:")
    await store.open(NOW)
    await store.write([first, second, replace(first, offset=400)])

    saved = await store.open(NOW)

    assert set(saved.positions) == {replace(first, offset=400), second}


async def test_a_file_system_with_inodes_of_all_64_bits_is_remembered_too(store: SqliteStore) -> None:
    position = Position("/mnt/pool/full", 2**64 - 1, 2**63, 300, "64:abc")
    await store.open(NOW)
    await store.write([position])

    saved = await store.open(NOW)

    assert saved.positions == [position]


async def test_what_an_administrator_allowed_comes_back_with_its_last_comment_until_he_takes_it_back(
    store: SqliteStore,
) -> None:
    office, boss = (Allowed(Target(text), AllowOrigin.RUNTIME, "“office”") for text in ("192.0.2.0/24", "2001:db8::1"))
    await store.open(NOW)
    await store.write([office, boss, ban("198.51.100.1"), office._replace(comment="moved"), Disallowed(boss.target)])

    assert (await store.open(NOW)).allowed == [office._replace(comment="moved")]


async def test_it_remembers_when_somebody_was_banned_of_late(store: SqliteStore, journal: RecordingJournal) -> None:
    await store.open(NOW)
    often = [ban(GUESSER, since=NOW + number, until=NOW + HOUR) for number in range(30)]
    await store.write([*often, ban("192.0.2.1", since=NOW, until=None), ban("192.0.2.2", since=NOW, until=NOW + HOUR)])

    assert not (await store.open(NOW + HOUR)).times, "nobody asked"

    asked = SqliteStore(store._path, journal, times=True)
    saved = await asked.open(NOW + HOUR)
    assert saved.times == {GUESSER: tuple(range(NOW + 10, NOW + 30)), "192.0.2.2": (NOW,)}
    assert not (await asked.open(NOW + 29 + RECIDIVE_FINDTIME + 1)).times
    await asked.close()


async def test_phones_come_back_as_last_told_while_they_can_live(store: SqliteStore) -> None:
    one, two, three = (Phone(Address(Target(f"192.0.2.{number}")), "6001", NOW + HOUR) for number in (1, 2, 3))
    await store.open(NOW)
    await store.write([one, two, one._replace(until=NOW + 2 * HOUR), two._replace(until=0)])
    await store.write([three, three._replace(until=0), three])

    assert (await store.open(NOW)).phones == [three, one._replace(until=NOW + 2 * HOUR)]
    assert (await store.open(NOW + HOUR)).phones == [one._replace(until=NOW + 2 * HOUR)]


async def test_a_name_comes_back_with_its_last_addresses(store: SqliteStore) -> None:
    addresses = (Target("192.0.2.1"), Target("2001:db8::1"))
    await store.open(NOW)
    await store.write([Resolved("a.example.org", addresses[:1]), Resolved("b.example.org", addresses)])
    await store.write([Resolved("a.example.org", addresses), Resolved("b.example.org", ())])

    assert (await store.open(NOW)).names == [Resolved("a.example.org", addresses)]
