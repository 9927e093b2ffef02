from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiguard.notifiers.wording import LATEST, clean, duration, end_words, host_word, moment, plural
from tests.smtp.mailing import NOW, ban


@given(st.text(), st.integers(0, 20))
def test_cleaned_text_is_one_printable_line_of_bounded_length(text: str, limit: int) -> None:
    shown = clean(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit * 10 + 1
    assert shown.endswith("…") or len(text) <= limit


@given(st.text(max_size=50), st.text(max_size=50))
def test_cleaned_texts_differ_where_the_texts_do(one: str, other: str) -> None:
    assert (clean(one) == clean(other)) == (one == other)


def test_plain_names_are_shown_as_they_are() -> None:
    assert clean("Zoë 名前 100@pbx") == "Zoë 名前 100@pbx"


def test_a_backslash_cannot_pass_for_an_escape() -> None:
    assert clean("a\\nb\n") == "a\\\\nb\\n"


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "less than a second"),
        (1000, "1 second"),
        (90_000, "1 minute 30 seconds"),
        (432_000_000, "5 days"),
        (3_600_000 * 25 + 1000, "1 day 1 hour"),
        (604_800_000 * 5, "5 weeks"),
    ],
)
def test_durations_are_told_in_their_two_largest_units(milliseconds: int, words: str) -> None:
    assert duration(milliseconds) == words


@pytest.mark.parametrize("at", [-5, 0, NOW, LATEST, 10**30])
def test_any_time_can_be_told(at: int) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}", moment(at))
    assert end_words(ban(until=at))


@pytest.mark.parametrize(
    ("name", "word"),
    [("pbx1", "pbx1"), ("", "localhost"), ("..", "localhost"), ("a b\r\n", "a-b"), ("x" * 300, "x" * 253)],
)
def test_a_host_name_becomes_a_word(name: str, word: str) -> None:
    assert host_word(name) == word


def test_one_is_singular() -> None:
    assert [plural(1, "failure"), plural(2, "failure"), plural(0, "ban")] == ["1 failure", "2 failures", "0 bans"]
