from __future__ import annotations

import os
from pathlib import Path

import pytest

from amiguard.errors import NotifierError
from amiguard.notifiers.settings import MailSettings
from amiguard.notifiers.spool import HELD_LIMIT, Letter, Spool, letter_name
from amiguard.ports import NoticeKind
from tests.smtp.mailing import NOW, mail_settings

TO = ("admin@example.org",)


def letter(number: int, kind: NoticeKind = NoticeKind.BAN, content: bytes = b"Subject: x\r\n\r\n\nx") -> Letter:
    return Letter(letter_name(NOW + number, kind, f"{number:016x}"), TO, content)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "a" / "spool", 5)
    made.open()
    return made


def test_letters_come_back_as_they_were_oldest_first(spool: Spool) -> None:
    letters = [letter(number) for number in range(3)]
    for one in reversed(letters):
        assert spool.add(one) == 0
    assert spool.names() == [one.name for one in letters]
    assert [spool.read(name) for name in spool.names()] == letters
    assert letters[2].at == NOW + 2


def test_a_letter_that_is_added_twice_is_kept_once_as_it_was_last(spool: Spool) -> None:
    spool.add(letter(1))
    spool.add(letter(1, content=b"other"))
    assert spool.names() == [letter(1).name]
    assert spool.read(letter(1).name) == letter(1, content=b"other")


def test_a_full_spool_drops_the_oldest_bans_first_and_then_the_oldest(spool: Spool) -> None:
    for number in range(4):
        spool.add(letter(number, NoticeKind.START))
    assert spool.add(letter(4)) == 0
    assert spool.add(letter(5)) == 1
    assert spool.add(letter(6, NoticeKind.STOP)) == 1
    assert spool.add(letter(7, NoticeKind.STOP)) == 1
    assert [int(name[-20:-5], 16) for name in spool.names()] == [1, 2, 3, 6, 7]


def test_opening_removes_what_a_killed_writer_left_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / f"{letter(1).name}.tmp").write_bytes(b"half")
    (tmp_path / "README").write_bytes(b"x")
    tmp_path.chmod(0o755)
    Spool(tmp_path, 5).open()
    assert [path.name for path in tmp_path.iterdir()] == ["README"]
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_letters_are_held_in_memory_while_the_folder_is_away_and_written_when_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool = Spool(folder, 100)
    for number in range(HELD_LIMIT + 5):
        with pytest.raises(NotifierError, match="No such file"):
            spool.add(letter(number))
    assert len(spool.names()) == HELD_LIMIT
    assert spool.read(letter(5).name) == letter(5)
    folder.mkdir()
    spool.add(letter(99))
    assert len(os.listdir(folder)) == HELD_LIMIT + 1  # noqa: PTH208 -- names, not paths
    assert Spool(folder, 100).read(letter(5).name) == letter(5)


def test_a_letter_that_cannot_be_removed_is_not_sent_again(spool: Spool, tmp_path: Path) -> None:
    name = letter(1).name
    (tmp_path / "a" / "spool" / name).mkdir()
    with pytest.raises(NotifierError, match="can't remove"):
        spool.remove(name)
    assert spool.names() == []


def test_a_letter_that_is_gone_is_none_and_may_be_removed(spool: Spool) -> None:
    assert spool.read(letter(1).name) is None
    spool.remove(letter(1).name)


def test_neither_a_link_nor_a_pipe_is_read(spool: Spool, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "spool"
    (folder / letter(1).name).symlink_to("/etc/passwd")
    os.mkfifo(folder / letter(2).name)
    for number in (1, 2):
        with pytest.raises(NotifierError):
            spool.read(letter(number).name)


def test_settings_never_show_the_password() -> None:
    settings: MailSettings = mail_settings(Path("/x"), 25, username="guard", password="S3cret")
    assert "S3cret" not in repr(settings)
