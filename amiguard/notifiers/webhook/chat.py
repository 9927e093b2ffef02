"""What people are told in a chat: a card, which a template lays out as the receiver wants it.

Whoever attacks chooses names, and a chat makes links, mentions (`@channel`), images and formats of what it is given,
each in its own way. So nothing that a stranger may have written gets there as it is: whatever could mean anything to
any of them is percent-encoded, as SIP does it: `alice@example.org` is shown as `alice%40example%2Eorg`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from amiguard.errors import InvalidAddress
from amiguard.model import Ban, parse_target
from amiguard.notifiers.alerts import Alert
from amiguard.notifiers.digest import Summary
from amiguard.notifiers.facts import ban_facts, digest_facts, subject
from amiguard.notifiers.pace import Content
from amiguard.notifiers.wording import host_word, moment, plural, reason_words
from amiguard.ports import Country, Notice, NoticeKind

NAME_LIMIT = 64
TEXT_LIMIT = 500
TITLE_LIMIT = 140
"""Slack's headers take 150 characters."""
BODY_LIMIT = 2800
"""Slack's sections take 3000 characters, ntfy's messages 4096 bytes."""
LISTED = 10
"""Bans of a digest that are listed."""

Tone = Literal["bad", "good", "neutral"]

# What is left: letters, digits and such punctuation as no receiver makes anything of. A dot or a colon stays between
# digits and at the end of a word, where it neither makes a domain nor ends a scheme.
UNSAFE = re.compile(r"""(?![A-Za-z0-9,;_+'"?=()/-]|(?<=[0-9])[.:](?=[0-9])|[.:]+(?:$|(?=[)"'])))[\s\S]""")
NUMERIC = re.compile(r"[0-9A-Fa-f.:/]+")


@dataclass(frozen=True, slots=True)
class Card:
    """What a chat shows: only text that no receiver makes a link, a mention or a format of."""

    title: str
    body: str
    """Lines."""
    tone: Tone


def harmless(text: str, limit: int = NAME_LIMIT) -> str:
    """Return at most `limit` characters of `text` as one line that every chat shows as it is; addresses stay."""
    shown = " ".join(word if _is_address(word) else UNSAFE.sub(_percent, word) for word in text[:limit].split(" "))
    return shown if len(text) <= limit else f"{shown}…"


def _is_address(word: str) -> bool:
    if not NUMERIC.fullmatch(word):
        return False
    try:
        parse_target(word.rstrip(".:"))
    except InvalidAddress:
        return False
    return True


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def card(content: Content, hostname: str, country: Country | None = None) -> Card:
    """Return what is to be shown."""
    tone: Tone = "bad"
    title = f"{host_word(hostname)[:64]}: {subject(content)}"[:TITLE_LIMIT]
    match content:
        case Summary():
            lines = _digest(content, country)
        case Alert():
            lines = _alert(content)
        case Notice(kind=kind, ban=Ban() as ban):
            lines = _ban(ban)
            tone = "good" if kind is NoticeKind.UNBAN else "bad"
        case _:
            lines = [harmless(line, TEXT_LIMIT) for line in content.text.splitlines()]
            tone = "neutral"
    body = "\n".join(lines)
    return Card(title, body if len(body) <= BODY_LIMIT else f"{body[:BODY_LIMIT]}…", tone)


def _ban(ban: Ban) -> list[str]:
    lines = [f"{label}: {value}" for label, value in ban_facts(ban, harmless)]
    if ban.accounts:
        lines.append(f"Accounts tried: {_names(ban.accounts[:10])}")
    return lines


def _alert(alert: Alert) -> list[str]:
    lines = [harmless(text, TEXT_LIMIT) for text in alert.texts]
    return [*lines, f"and {alert.untold} more; all of them stand in the log"] if alert.untold else lines


def _digest(summary: Summary, country: Country | None) -> list[str]:
    lines = [f"{moment(summary.since)} - {moment(summary.until)}"]
    lines += [f"{plural(count, 'time')} {reason_words(reason)}" for reason, count in summary.reasons]
    lines += [f"{label}: {value}" for label, value in digest_facts(summary, country)]
    if summary.accounts:
        lines.append(f"Accounts tried most: {_names([name for name, _ in summary.accounts])}")
    for ban in summary.bans[:LISTED]:
        lines.append(f"{ban.target}: {reason_words(ban.reason)}, {plural(ban.failures, 'failure')}")
    unlisted = summary.count - len(summary.bans[:LISTED])
    return [*lines, f"and {unlisted} more; all of them: amiguard banned"] if unlisted else lines


def _names(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f'"{harmless(name)}"' for name in names)
