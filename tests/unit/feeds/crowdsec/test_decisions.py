from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiguard.errors import FeedError
from amiguard.feeds.crowdsec.decisions import LONGEST, Decision, alert, decision_of, milliseconds, told
from amiguard.feeds.networks import LeftOut
from amiguard.listed import Width
from amiguard.model import Ban, Evidence, Origin, Reason, Target

BAN = Ban(Target("45.9.9.1"), 1_764_590_400_123, 1_764_594_000_123, Reason.WRONG_PASSWORD, failures=5)
ITEM = {"id": 7, "origin": "cscli", "type": "ban", "scope": "Ip", "value": "45.9.9.1", "duration": "1m"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=8), st.none() | st.lists(JSON, max_size=4), min_size=1, max_size=3), st.booleans()
)
def test_an_answer_is_read_item_by_item_as_json_reads_it_whole(answer: dict[str, object], wide: bool) -> None:
    text = json.dumps(answer, indent=2 if wide else None)
    wanted = [(name, item) for name, items in answer.items() if isinstance(items, list) for item in items]
    assert list(told(text)) == wanted


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{", '{"new"', '{"new":', '{"new":[', '{"new":[{}', '{"new":[{}]', '{"new":[{},]}'),
        *('{"new":[] "deleted":[]}', '{"new":{}}', '{"new":null} x', '{"new":"x"}', '{"new":[1 2]}', "<html>"),
        '{"new":' + "[" * 9999,
    ],
)
def test_whatever_else_is_no_answer(text: str) -> None:
    with pytest.raises(FeedError, match="not as CrowdSec's"):
        list(told(text))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("3h59m50.25s", 14_390_250),
        ("30m11.587149287s", 1_811_587),
        ("-36.043959ms", -36),
        ("-1h2m", -3_720_000),
        ("150µs", 0),
        ("999999999999h", LONGEST),
        ("87600h0m0s", LONGEST),
        *((wrong, None) for wrong in ("", "h", "5", "1.2.3s", "4 h", "1d", None, 7, "1h" * 60, "ns", "-")),
    ],
)
def test_durations_are_read_as_go_writes_them(text: object, wanted: int | None) -> None:
    assert milliseconds(text) == wanted


def test_a_decision_says_who_is_to_be_dropped_and_for_how_long() -> None:
    assert decision_of(ITEM) == Decision(7, (Width(4, 32), 0x2D090901), 60_000, "cscli")
    network = decision_of(ITEM | {"scope": "range", "value": "2a00:1::/32"})
    assert isinstance(network, Decision)
    assert network.named == (Width(6, 32), 0x2A000001)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"type": "captcha"}, None),
        ({"scope": "Country", "value": "FR"}, None),
        ({"simulated": True}, None),
        ({"value": "10.0.0.1"}, LeftOut.SPECIAL),
        ({"value": "0.0.0.0/0", "scope": "Range"}, LeftOut.WIDE),
        ({"value": "45.9.9.1\r\n"}, LeftOut.GARBAGE),
        ({"value": "\ud800"}, LeftOut.GARBAGE),
        ({"value": None}, LeftOut.GARBAGE),
        ({"duration": "soon"}, LeftOut.GARBAGE),
    ],
)
def test_other_decisions_drop_nobody(changes: dict[str, object], wanted: LeftOut | None) -> None:
    assert decision_of(ITEM | changes) is wanted


def test_what_is_no_decision_at_all_is_garbage() -> None:
    nonsense: list[object] = ["x", None, [], 7]
    assert {decision_of(item) for item in nonsense} == {LeftOut.GARBAGE}


@given(JSON)
def test_no_item_makes_it_fail(item: object) -> None:
    decision_of(item)
    if isinstance(item, dict):
        decision_of(ITEM | item)


def test_a_ban_becomes_an_alert_in_which_what_a_stranger_wrote_is_escaped() -> None:
    evil = BAN._replace(accounts=("100", "\x1b[31m\r\n" + "x" * 300), service="PJSIP", evidence=Evidence.CONNECTED)
    made = json.loads(json.dumps(alert(evil, "amiguard/pbx1", "1.0")))
    assert made["start_at"] == made["stop_at"] == "2025-12-01T12:00:00.123Z"
    assert made["decisions"] == [
        {
            "origin": "amiguard/pbx1",
            "type": "ban",
            "scope": "Ip",
            "value": "45.9.9.1",
            "duration": "3600s",
            "scenario": "amiguard/wrong-password",
        }
    ]
    meta = {one["key"]: one["value"] for one in made["events"][0]["meta"]}
    assert meta["service"] == "PJSIP"
    assert meta["usernames"].isprintable()
    assert len(meta["usernames"]) < 600


def test_a_permanent_ban_of_a_network_is_a_range_for_ten_years() -> None:
    ban = BAN._replace(target=Target("45.9.8.0/24"), until=None, origin=Origin.MANUAL)
    made = json.loads(json.dumps(alert(ban, "amiguard/pbx1", "1.0")))
    (decision,) = made["decisions"]
    assert (decision["scope"], decision["value"], decision["duration"]) == ("Range", "45.9.8.0/24", "315360000s")
    assert made["source"] == {"scope": "Range", "value": "45.9.8.0/24"}
