"""What a chat is given: nothing in it that an attacker wrote means anything to Slack, Mattermost, Teams or ntfy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiguard.journal import Action
from amiguard.notifiers.alerts import Alert
from amiguard.notifiers.digest import Digest
from amiguard.notifiers.pace import Content
from amiguard.notifiers.webhook.chat import card, harmless
from amiguard.notifiers.webhook.layout import Layout, Receiver, ntfy_place
from amiguard.ports import Notice, NoticeKind
from tests.smtp.mailing import NOW, ban

RECEIVERS: tuple[Receiver, ...] = ("slack", "mattermost", "teams", "ntfy")
URL = "https://chat.example.org/hooks/abc"

HOSTILE = (
    "@channel @here @all <!channel> <!here> <@U024BE7LH> <at>everyone</at>",
    "<http://evil.example/|click> [click](http://evil.example/) ![x](https://evil.example/x.png)",
    "http://evil.example www.evil.example evil.example javascript:alert(1) mailto:a@evil.example tel:+1900123",
    "``` `x` *b* _i_ ~s~ > q # h | t | :skull: \\u0040channel",
    '"}]}, {"text": "forged", "channel": "#general',
    "{{ 7*7 }}{% raw %}{{ card }}",
    "line\r\nbreak\u2028\u202etrap\x00\x1b[2J",
    "\ud800 \uff20channel \uff48ttp\uff1a\uff0f\uff0fevil\u3002example",
    "n" * 5000,
)
MEANINGFUL = re.compile(r"[@<>&`*\[\]!#|\\~{}$]|://|www\.|[A-Za-z]\.[A-Za-z]|[A-Za-z]:\S")


def laid_out(receiver: Receiver, content: Content) -> Any:
    return json.loads(Layout(receiver, URL).body(card(content, "pbx1")))


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    match value:
        case str():
            yield value
        case dict():
            for inner in value.values():
                yield from texts(inner)
        case list():
            for inner in value:
                yield from texts(inner)
        case _:
            pass


def hostile_contents(name: str) -> list[Content]:
    digest = Digest(300_000)
    for _ in range(3):
        digest.add(ban(accounts=(name,) * 10, comment=name, service=name, transport=name))
    summary = digest.take(NOW)
    assert summary is not None
    return [
        Notice(NoticeKind.BAN, NOW, ban(accounts=(name,) * 10, comment=name, service=name, transport=name)),
        Notice(NoticeKind.UNBAN, NOW, ban(accounts=(name,), comment=name)),
        Alert(Action.AMI_LOST, NOW, (name, name), count=9),
        summary,
    ]


@pytest.mark.parametrize("receiver", RECEIVERS)
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_an_attacker_writes_links_mentions_or_formats(receiver: Receiver, name: str) -> None:
    for content, calm in zip(hostile_contents(name), hostile_contents("x"), strict=True):
        told, expected = laid_out(receiver, content), laid_out(receiver, calm)

        assert shape(told) == shape(expected)
        for text in texts(told):
            ours = text.removeprefix("```\n").removesuffix("\n```")
            for line in ours.split("\n"):
                assert line.isprintable()
                if ours not in set(texts(expected)):
                    assert not MEANINGFUL.search(line), line


def shape(value: Any) -> Any:
    """What a JSON value looks like without its texts."""
    match value:
        case dict():
            return {name: shape(inner) for name, inner in value.items()}
        case list():
            return [shape(inner) for inner in value]
        case _:
            return type(value)


@given(st.text(max_size=300))
def test_harmless_text_is_plain_and_tells_what_was_written(text: str) -> None:
    shown = harmless(text, 300)

    assert shown.isascii()
    assert not MEANINGFUL.search(shown)
    assert unquote(shown, errors="surrogatepass") == text


def test_what_we_write_ourselves_stays_readable() -> None:
    for text in (
        "no events from 127.0.0.1:5038 for more than a minute: Connection refused",
        "/var/log/asterisk/full can't be read: there is no such file",
        "account 6001 is tried by 12 addresses, such as 2001:db8::1 and 192.0.2.0/24.",
    ):
        assert harmless(text, 500) == text


def test_a_ban_reads_well() -> None:
    told = laid_out("slack", Notice(NoticeKind.BAN, NOW, ban("2001:db8::1")))

    assert told["text"] == "pbx1: banned 2001:db8::1 (wrong-password, 5 failures)"
    body = told["blocks"][1]["text"]["text"]
    assert body.startswith("Address: 2001:db8::1\nReason: wrong password\nService: PJSIP over TLS\nFailures: 5\n")
    assert body.endswith('\nAccounts tried: "100", "alice"')


def test_each_receiver_gets_its_form() -> None:
    content = Notice(NoticeKind.START, NOW, text="firewall: nftables\nlog: /var/log/asterisk/full")
    lines = "firewall: nftables\nlog: /var/log/asterisk/full"

    slack = laid_out("slack", content)
    assert [block["type"] for block in slack["blocks"]] == ["header", "section"]
    assert {block["text"]["type"] for block in slack["blocks"]} == {"plain_text"}
    assert slack["blocks"][1]["text"]["text"] == lines
    (attachment,) = laid_out("mattermost", content)["attachments"]
    assert (attachment["title"], attachment["text"]) == ("pbx1: started", f"```\n{lines}\n```")
    (adaptive,) = laid_out("teams", content)["attachments"]
    assert adaptive["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert [block["inlines"][0]["text"] for block in adaptive["content"]["body"]] == [
        "pbx1: started",
        *lines.split("\n"),
    ]
    ntfy = laid_out("ntfy", content)
    assert (ntfy["topic"], ntfy["title"], ntfy["message"]) == ("abc", "pbx1: started", lines)


@pytest.mark.parametrize("receiver", RECEIVERS)
def test_no_message_outgrows_what_a_receiver_takes(receiver: Receiver) -> None:
    worst = Notice(NoticeKind.BAN, NOW, ban(accounts=("\U0001f480" * 256,) * 10))

    body = Layout(receiver, URL).body(card(worst, "h" * 300))
    longest = max(map(len, texts(json.loads(body))))
    assert longest < 3000
    assert len(body) < 8_000


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://ntfy.sh/alerts", ("https://ntfy.sh/", "alerts")),
        ("https://u:p@example.org/push/alerts?auth=x", ("https://u:p@example.org/push/?auth=x", "alerts")),
    ],
)
def test_ntfy_takes_json_at_the_folder_of_a_topic(url: str, place: tuple[str, str]) -> None:
    assert ntfy_place(url) == place
