from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from amiguard import answers
from amiguard.journal import Action
from amiguard.model import Evidence
from amiguard.notifiers.alerts import Alert
from amiguard.notifiers.webhook.payload import payload, shown
from amiguard.ports import Notice, NoticeKind
from tests.smtp.mailing import NOW, ban

SENDER = {"host": "pbx1", "version": "1.2.3"}


def told(content: Any) -> Any:
    return json.loads(payload(content, NOW, "msg_1", SENDER))


def test_a_ban_is_told_in_full() -> None:
    assert told(Notice(NoticeKind.BAN, NOW, ban(evidence=Evidence.DATAGRAM, transport="UDP"))) == {
        "id": "msg_1",
        "kind": "ban",
        "at": "2026-11-18T11:06:40Z",
        "host": "pbx1",
        "version": "1.2.3",
        "ban": {
            "address": "198.51.100.7",
            "since": "2026-11-18T11:06:40Z",
            "until": "2026-11-23T11:06:40Z",
            "bantime": 432000,
            "reason": "wrong-password",
            "origin": "local",
            "node": "",
            "evidence": "datagram",
            "absolute": True,
            "failures": 5,
            "earlier": 0,
            "accounts": ["100", "alice"],
            "service": "PJSIP",
            "transport": "UDP",
            "source": "",
            "comment": "",
        },
    }


def test_a_permanent_ban_has_no_end() -> None:
    found = told(Notice(NoticeKind.UNBAN, NOW, ban(until=None)))

    assert (found["kind"], found["ban"]["until"], found["ban"]["bantime"]) == ("unban", None, -1)


def test_an_alert_names_its_action_and_a_start_has_a_text() -> None:
    alert = told(Alert(Action.AMI_LOST, NOW, ("a", "b"), count=7))
    start = told(Notice(NoticeKind.START, NOW, text="nftables"))

    assert (alert["kind"], alert["action"], alert["count"], alert["texts"]) == ("alert", "ami-lost", 7, ["a", "b"])
    assert (start["kind"], start["text"]) == ("start", "nftables")


def test_a_ban_has_the_names_that_it_has_in_the_control_api() -> None:
    api = answers.shown(ban(), NOW)

    assert {name: value for name, value in shown(ban()).items() if name != "bantime"} == {
        name: value for name, value in api.items() if name != "remaining"
    }


@given(st.lists(st.text(max_size=500), max_size=20), st.text(max_size=5000))
def test_whatever_an_attacker_writes_is_one_bounded_json_object(names: list[str], comment: str) -> None:
    body = payload(Notice(NoticeKind.BAN, NOW, ban(accounts=tuple(names), comment=comment)), NOW, "msg_1", SENDER)

    assert body.isascii()
    assert b"\n" not in body
    assert len(body) < 60_000
    assert json.loads(body)["ban"]["accounts"] == [name[:256] for name in names[:10]]
