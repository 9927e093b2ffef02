"""What a message says of a ban, in words: the same in mails and in chats. Pure.

Text that a stranger may have written goes through the `escape` of the reader at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from amiguard.model import Ban
from amiguard.notifiers.alerts import Alert
from amiguard.notifiers.digest import Summary
from amiguard.notifiers.pace import Content
from amiguard.notifiers.wording import duration, end_words, evidence_words, moment, plural, reason_words
from amiguard.ports import Country, NoticeKind

Rows = list[tuple[str, str]]

COUNTRIES = 10
"""Countries of a digest that are told."""


def subject(content: Content) -> str:
    """Return what a message is about: our own words, numbers and canonical addresses, nothing a stranger wrote."""
    if isinstance(content, Summary):
        span = duration(max(0, content.until - content.since))
        return f"{plural(content.count, 'further ban')} in {span}"
    if isinstance(content, Alert):
        return content.name if content.count == 1 else f"{content.name}, {content.count} more times"
    if content.ban is None:
        return "started" if content.kind is NoticeKind.START else "stopped"
    ban = content.ban
    if content.kind is NoticeKind.UNBAN:
        return f"unbanned {ban.target}"
    what = f"{ban.reason.value}, {plural(ban.failures, 'failure')}" if ban.failures else ban.reason.value
    return f"banned {ban.target} ({what})"


def ban_facts(ban: Ban, escape: Callable[[str], str]) -> Rows:
    """Return what there is to say about a ban, label by label."""
    service = " over ".join(escape(part[:32]) for part in (ban.service, ban.transport) if part)
    rows = [
        ("Network" if "/" in ban.target else "Address", str(ban.target)),
        ("Reason", reason_words(ban.reason)),
        ("Comment", escape(ban.comment)),
        ("Service", service),
        ("Failures", str(ban.failures) if ban.failures else ""),
        ("Evidence", evidence_words(ban)),
        ("Since", moment(ban.since)),
        ("Until", end_words(ban)),
        ("Before", f"banned {plural(ban.earlier, 'time')} before" if ban.earlier else "never banned before"),
    ]
    return [row for row in rows if row[1]]


def digest_facts(summary: Summary, country: Country | None) -> Rows:
    """Return what there is to say about the bans of a digest together, but their reasons and accounts."""
    top = ", ".join(f"{ban.target} ({ban.failures})" for ban in summary.top)
    countries = "" if country is None else _countries(summary, country)
    dropped = "" if summary.dropped is None else plural(summary.dropped.packets, "packet")
    rows = [("Most failures", top), ("Countries", countries), ("Dropped", dropped)]
    return [row for row in rows if row[1]]


def _countries(summary: Summary, country: Country) -> str:
    found = Counter(map(country, summary.targets))
    unknown = found.pop("", 0)
    told = [f"{code} {count}" for code, count in found.most_common(COUNTRIES)]
    return ", ".join([*told, f"unknown {unknown}"] if unknown and told else told)
