"""Writes mails: a notice or a digest becomes the bytes that a server takes.

No header holds anything but our own words, numbers, canonical addresses and the operator's settings."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

from amiguard.model import Ban, Target, Timestamp
from amiguard.notifiers.alerts import Alert
from amiguard.notifiers.digest import Summary
from amiguard.notifiers.facts import Rows, ban_facts, digest_facts, subject
from amiguard.notifiers.pace import Content
from amiguard.notifiers.rdap import Registration
from amiguard.notifiers.settings import MailSettings
from amiguard.notifiers.wording import clean, duration, host_word, local_time, moment, reason_words
from amiguard.ports import Country, Notice, NoticeKind
from amiguard.sparing import ARCHIVES, without

with without(*ARCHIVES):  # by way of tempfile and shutil
    from jinja2 import Environment, PackageLoader, StrictUndefined

TEMPLATES = ("alert", "ban", "digest", "notice")
TEXT_LIMIT = 2000
BODY = SMTP.clone(max_line_length=76)  # RFC 2045 section 6.7: quoted-printable lines
HEAD = SMTP.clone(max_line_length=998)  # RFC 5322 section 2.1.1; some readers show a folded subject with a gap

Registrations = Mapping[Target, Registration]


@dataclass(frozen=True, slots=True)
class Draft:
    """A mail to be written. Its identity is fixed here, once: a repeated delivery is recognisable as such."""

    content: Content
    at: Timestamp
    token: str
    message_id: str

    @property
    def kind(self) -> NoticeKind:
        """What the mail is about."""
        match self.content:
            case Summary():
                return NoticeKind.BAN
            case Alert():
                return NoticeKind.ALERT
            case Notice(kind=kind):
                return kind

    @property
    def bans(self) -> tuple[Ban, ...]:
        """The bans that the mail lists."""
        match self.content:
            case Summary(bans=bans):
                return bans
            case Notice(ban=Ban() as ban):
                return (ban,)
            case _:
                return ()


def draft(content: Content, at: Timestamp, hostname: str) -> Draft:
    """Return a new draft with its own identity."""
    return Draft(content, at, secrets.token_hex(8), make_msgid(domain=host_word(hostname)))


class Writer:
    """Turns drafts into messages. Templates are compiled at construction, not when the first attacker comes."""

    def __init__(self, settings: MailSettings, country: Country | None = None) -> None:
        self._settings = settings
        self._country = country
        self._hostname = host_word(settings.hostname)
        loader = PackageLoader("amiguard.notifiers")
        # Two environments, because the plain text must not be escaped for HTML and the HTML always must.
        plain = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701 -- text/plain
        html = Environment(
            loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=True
        )
        self._plain = {name: plain.get_template(f"{name}.txt") for name in TEMPLATES}
        self._html = {name: html.get_template(f"{name}.html") for name in TEMPLATES}

    def write(self, draft: Draft, registrations: Registrations) -> bytes:
        """Return the whole message, header and body, with CRLF line ends and in seven bits."""
        name, values = self._values(draft, registrations)
        message = EmailMessage(policy=BODY)
        message["From"] = self._settings.sender
        message["To"] = ", ".join(self._settings.to)
        message["Subject"] = f"[amiguard] {self._hostname}: {subject(draft.content)}"
        message["Date"] = format_datetime(local_time(draft.at))
        message["Message-ID"] = draft.message_id
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        message.set_content(self._plain[name].render(values), cte="quoted-printable")
        message.add_alternative(self._html[name].render(values), subtype="html", cte="quoted-printable")
        return message.as_bytes(policy=HEAD)

    def _values(self, draft: Draft, registrations: Registrations) -> tuple[str, dict[str, object]]:
        """Return a template's name and what it shows, all of it cleaned."""
        shared: dict[str, object] = {"hostname": self._hostname, "version": self._settings.version}
        content = draft.content
        if isinstance(content, Summary):
            return "digest", shared | _digest_values(content, registrations, self._country)
        if isinstance(content, Alert):
            return "alert", shared | _alert_values(content)
        if content.ban is not None:
            return "ban", shared | _ban_values(content.ban, registrations)
        state = "started" if content.kind is NoticeKind.START else "stopped"
        lines = [clean(line) for line in content.text[:TEXT_LIMIT].splitlines()]
        return "notice", shared | {"state": state, "at": moment(content.at), "lines": lines}


def _alert_values(alert: Alert) -> dict[str, object]:
    return {
        "name": alert.name,
        "at": moment(alert.at),
        "count": alert.count,
        "lines": [clean(text, TEXT_LIMIT) for text in alert.texts],
        "untold": alert.untold,
    }


def _ban_values(ban: Ban, registrations: Registrations) -> dict[str, object]:
    registration = registrations.get(ban.target)
    return {
        "target": ban.target,
        "facts": ban_facts(ban, clean),
        "accounts": [clean(name) for name in ban.accounts[:10]],
        "owner": [] if registration is None else _owner(registration),
    }


def _owner(registration: Registration) -> Rows:
    rows = [
        ("Network", " ".join(part for part in (registration.network, registration.span) if part)),
        ("Organisation", registration.organisation),
        ("Country", registration.country),
        ("Abuse contact", registration.abuse),
    ]
    return [row for row in rows if row[1]]


def _digest_values(summary: Summary, registrations: Registrations, country: Country | None) -> dict[str, object]:
    return {
        "count": summary.count,
        "span": duration(max(0, summary.until - summary.since)),
        "facts": [
            ("From", moment(summary.since)),
            ("To", moment(summary.until)),
            *digest_facts(summary, country),
        ],
        "reasons": [(reason_words(reason), count) for reason, count in summary.reasons],
        "accounts": [(clean(name), count) for name, count in summary.accounts],
        "bans": [_row(ban, registrations.get(ban.target)) for ban in summary.bans],
        "unlisted": summary.unlisted,
    }


def _row(ban: Ban, registration: Registration | None) -> dict[str, str]:
    owner = "" if registration is None else ", ".join(value for _, value in _owner(registration)[:3])
    return {
        "target": ban.target,
        "reason": reason_words(ban.reason),
        "failures": str(ban.failures),
        "until": "permanent" if ban.until is None else moment(ban.until),
        "owner": owner,
    }
