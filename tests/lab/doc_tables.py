"""Generates the tables of docs/configuration.md and docs/events.md from the code.

`python -m tests.lab.doc_tables` rewrites them; a test compares them."""

from __future__ import annotations

import json
import os
import tempfile
from errno import ENOENT
from pathlib import Path
from unittest.mock import patch

from pydantic.fields import FieldInfo

from amiguard.errors import (
    FeedError,
    FirewallError,
    FleetError,
    NotifierError,
    ResolverError,
    SourceError,
    StoreError,
    SurroundingsError,
)
from amiguard.journal import Action
from amiguard.logs import open_journal
from amiguard.logs.catalogue import CATALOGUE
from amiguard.logs.journal import Format
from amiguard.logs.ocsf import EventClass, shape_of
from amiguard.model import Address, AllowOrigin, Ban, Evidence, Failure, Origin, Reason, Target
from amiguard.settings import Settings
from amiguard.settings.durations import FORM, format_duration
from amiguard.settings.kinds import Allowed

DOCS = Path(__file__).parents[2] / "docs"
BEGIN = "<!-- generated: begin -->\n"
END = "<!-- generated: end -->\n"

NOW = 1_764_590_400_123
ATTACKER = Address(Target("192.0.2.77"))

FAILURE = Failure(
    address=ATTACKER,
    at=NOW,
    reason=Reason.WRONG_PASSWORD,
    weight=1,
    evidence=Evidence.DATAGRAM,
    code="ChallengeResponseFailed",
    service="PJSIP",
    transport="UDP",
    port=5071,
    account="1000",
    session="a84b4c76e66710",
    source="ami",
)
BAN = Ban(
    target=ATTACKER,
    since=NOW,
    until=NOW + 432_000_000,
    reason=Reason.WRONG_PASSWORD,
    evidence=Evidence.DATAGRAM,
    failures=5,
    earlier=1,
    accounts=("1000", "admin"),
    service="PJSIP",
    transport="UDP",
    source="ami",
    absolute=False,
)
MANUAL = Ban(Target("198.51.100.0/24"), NOW, None, Reason.MANUAL, Origin.MANUAL, comment="scans us every night")

EXAMPLES: dict[Action, tuple[str, dict[str, object]]] = {
    Action.START: (
        "amiguard 0.1.0 starts",
        {
            "version": "0.1.0",
            "maxretry": 5,
            "findtime": 600,
            "bantime": 432_000,
            "firewall": "nftables",
            "ami": "127.0.0.1:5038",
            "allowed": ["127.0.0.0/8", "::1"],
        },
    ),
    Action.READY: ("the firewall is in place", {"bans": 12, "allowed": 2, "lacks": []}),
    Action.STOP: ("amiguard stops; bans stay in the kernel", {}),
    Action.SETTINGS_RELOADED: (
        "new settings are in force: AMIGUARD_MAXRETRY",
        {"changed": ["AMIGUARD_MAXRETRY"]},
    ),
    Action.SETTINGS_REFUSED: (
        "the earlier settings stay: AMIGUARD_MAXRETRY: '0' is not allowed; give a whole number from 1 to 1000",
        {"problems": ["AMIGUARD_MAXRETRY: '0' is not allowed; give a whole number from 1 to 1000"]},
    ),
    Action.AMI_CONNECTED: (
        "security events of Asterisk at 127.0.0.1:5038 reach us",
        {"host": "127.0.0.1", "port": 5038},
    ),
    Action.AMI_LOST: (
        "no security events from Asterisk at 127.0.0.1:5038: the connection was refused",
        {"host": "127.0.0.1", "port": 5038, "error": SourceError("the connection was refused")},
    ),
    Action.AMI_UNREADABLE: (
        "a security event fits no known schema and was not counted: a newer Asterisk?",
        {"unreadable": 1},
    ),
    Action.LOG_OPENED: (
        "/var/log/asterisk/full is read from its end: there is no stored position",
        {"path": "/var/log/asterisk/full"},
    ),
    Action.LOG_LOST: (
        "/var/log/asterisk/full can't be read: there is no such file",
        {"path": "/var/log/asterisk/full", "error": SourceError("there is no such file")},
    ),
    Action.LOG_ALARM: (
        "a line tells of an attack and names nobody for certain; see the log itself",
        {"path": "/var/log/asterisk/full", "shape": "event-lost", "alarms": 1},
    ),
    Action.FAILURE: ("", {"failure": FAILURE}),
    Action.INJECTION: (
        "header lines were smuggled into an event",
        {"failure": FAILURE._replace(reason=Reason.INJECTION, weight=1_000_000, code="InvalidAccountID")},
    ),
    Action.BAN: ("192.0.2.77 is banned", {"ban": BAN}),
    Action.BAN_ESCALATED: (
        "192.0.2.77 goes on, and is cut off absolutely",
        {"ban": BAN._replace(evidence=Evidence.CONNECTED, absolute=True)},
    ),
    Action.BANS_ADOPTED: (
        "bans that only the kernel knew of, for amiguard was killed before it could remember them, are known",
        {"bans": 2},
    ),
    Action.UNBAN: ("198.51.100.0/24 is let through again", {"ban": MANUAL}),
    Action.EXPIRE: ("the ban of 192.0.2.77 is over", {"ban": BAN}),
    Action.ALLOWLIST_CHANGED: (
        "never banned, for pbx.example.org: 198.51.100.9; no longer 198.51.100.7",
        {
            "origin": AllowOrigin.NAME,
            "comment": "pbx.example.org",
            "allowed": ["198.51.100.9"],
            "disallowed": ["198.51.100.7"],
        },
    ),
    Action.NAME_FAILED: (
        "pbx.example.org can't be resolved; the last answer holds",
        {"name": "pbx.example.org", "error": ResolverError("pbx.example.org has no address")},
    ),
    Action.NAME_RECOVERED: ("pbx.example.org is resolved again", {"name": "pbx.example.org"}),
    Action.SELF_UNKNOWN: (
        "this host's addresses and gateways are not known",
        {"error": SurroundingsError("the kernel tells no addresses and routes: Operation not permitted")},
    ),
    Action.PRESENCE_LIMITED: (
        "the manager user lacks write = system: phones are known only once they log in, and trunks not at all",
        {},
    ),
    Action.PHONE_FAILING: (
        "the phone 1000 at 192.0.2.77 fails on its own account: a password that was changed? It is not banned yet",
        {"failure": FAILURE, "failures": 5},
    ),
    Action.BAN_SKIPPED: ("192.0.2.77 is in the allowlist", {"ban": BAN}),
    Action.ACCOUNT_UNDER_ATTACK: (
        "account 1000 failed from 10 addresses: 192.0.2.1, 192.0.2.9",
        {"account": "1000", "addresses": 10, "proven": 2, "offenders": ["192.0.2.1", "192.0.2.9"]},
    ),
    Action.SUSPECTED_COMPROMISE: (
        (
            "account 1000 logged in from 192.0.2.77, after 4 failures on it from there: "
            "change its password, unless you know who it was"
        ),
        {
            "account": "1000",
            "address": ATTACKER,
            "service": "PJSIP",
            "transport": "UDP",
            "failures": 4,
            "tried": ["1000"],
            "offenders": [],
            "homes": ["198.51.100.7"],
        },
    ),
    Action.FIREWALL_HEALED: (
        "the table was deleted; the firewall was laid out anew, with every ban",
        {"bans": 12, "process": "nft", "pid": 4711},
    ),
    Action.FIREWALL_FAILED: (
        "the kernel refused bans; they are tried again",
        {"error": FirewallError("Operation not permitted", 1), "waiting": 3},
    ),
    Action.GEOIP_FAILED: (
        "countries are not told: /usr/share/GeoIP/GeoLite2-Country.mmdb can't be read",
        {"error": OSError(ENOENT, os.strerror(ENOENT))},
    ),
    Action.STORE_FAILED: ("", {"error": StoreError("the database is read-only")}),
    Action.STORE_RECOVERED: ("the database takes changes again", {}),
    Action.MAIL_SENT: ("", {"count": 1}),
    Action.MAIL_FAILED: ("will be tried again", {"count": 2, "error": NotifierError("the server answered 451")}),
    Action.WEBHOOK_FAILED: (
        "will be tried again",
        {"waiting": 3, "error": NotifierError("https://chat.example.org: HTTP status 500")},
    ),
    Action.WEBHOOK_RECOVERED: ("", {"waiting": 2}),
    Action.FLEET_CONNECTED: (
        "bans are shared over Redis at redis.example.org:6379",
        {"server": "redis.example.org:6379"},
    ),
    Action.FLEET_LOST: (
        "this node goes on alone: Redis at redis.example.org:6379 can't be reached",
        {
            "server": "redis.example.org:6379",
            "waiting": 2,
            "error": FleetError("Redis at redis.example.org:6379 can't be reached"),
        },
    ),
    Action.FLEET_REFUSED: ("0.0.0.0/0 is wider than a node may ban for others", {"refused": 1}),
    Action.FEED_UPDATED: (
        "43,210 addresses and networks of the list voipbl are dropped",
        {
            "feed": "voipbl",
            "where": "https://voipbl.org",
            "entries": 43_210,
            "spared": 1,
            "garbage": 0,
            "special": 12,
            "wide": 0,
        },
    ),
    Action.FEED_FAILED: (
        "the list voipbl can't be had: https://voipbl.org: HTTP status 500; what it named goes on being dropped",
        {
            "feed": "voipbl",
            "where": "https://voipbl.org",
            "error": FeedError("https://voipbl.org: HTTP status 500"),
        },
    ),
    Action.CROWDSEC_FAILED: (
        "will be tried again",
        {"waiting": 3, "error": FeedError("http://127.0.0.1:8080: Connection refused")},
    ),
    Action.CROWDSEC_RECOVERED: ("", {"waiting": 0}),
    Action.CONTROL: ("ban 198.51.100.0/24", {"target": "198.51.100.0/24", "peer_uid": 0, "peer_pid": 4711}),
    Action.CONTROL_OPENED: (
        "commands are taken at /run/amiguard/amiguard.sock",
        {"path": "/run/amiguard/amiguard.sock", "group": "amiguard", "http": "127.0.0.1 port 9180"},
    ),
    Action.OVERLOAD: ("left out lines: 12000 failure", {"left_out": 12_000}),
    Action.INTERNAL_ERROR: ("an event could not be handled", {"error": KeyError("EventTV")}),
}
"""What a part of amiguard hands to the journal: a message and fields."""


def example(action: Action, format: Format = "ecs") -> str:  # noqa: A002 -- the operator's word, LOG_FORMAT
    """Return the line that the journal writes for an action's example."""
    message, fields = EXAMPLES[action]
    with tempfile.TemporaryFile("w+") as file, patch("socket.gethostname", return_value="pbx"):
        open_journal(format, "info", clock=lambda: NOW, stream=file).write(action, message, **fields)
        file.seek(0)
        return file.read().rstrip("\n")


def events() -> str:
    """Return the catalogue of actions as Markdown."""
    parts = []
    for action, entry in CATALOGUE.items():
        limited = " Limited to 500 lines a second." if entry.limited else ""
        own = json.loads(example(action)).keys() - COMMON
        fields = ", ".join(f"`{name}`" for name in sorted(own)) or "none"
        parts.append(
            f"### `{action}`\n\n{entry.meaning}{limited}\n\n"
            f"Level {entry.level.name.lower()}; kind {entry.kind}; category {', '.join(entry.category)}; "
            f"type {', '.join(entry.type)}; outcome {entry.outcome or 'none'}.\n"
            f"OCSF: {ocsf(action)}.\n"
            f"Further fields: {fields}.\n\n```json\n{example(action)}\n```\n"
        )
    return "\n".join(parts)


def ocsf(action: Action) -> str:
    """Return how OCSF classes an action's events."""
    shape = shape_of(action, CATALOGUE[action])
    told = f"{shape.event_class.value} {shape.event_class.title}, activity {shape.activity}"
    if shape.event_class is EventClass.DETECTION_FINDING:
        told += f", action {shape.control.value}, disposition {shape.disposition.value}"
    return told


COMMON = frozenset(
    {
        *("@timestamp", "log.level", "message", "ecs.version", "service.name", "host.name"),
        *("event.kind", "event.category", "event.type", "event.action", "event.outcome"),
    }
)


def settings() -> str:
    """Return the settings as a Markdown table."""
    rows = ["| variable | default | allowed | meaning |", "|---|---|---|---|"]
    for name, info in Settings.model_fields.items():
        allowed = [item.words for item in info.metadata if isinstance(item, Allowed)][-1]
        rows.append(f"| `AMIGUARD_{name.upper()}` | {default(info)} | {allowed} | {info.description} |")
    return "\n".join(rows) + "\n"


def default(info: FieldInfo) -> str:
    """Return a default as an operator would write it; empty where there is none or where it depends on others."""
    value = info.default
    if info.default_factory is not None or value is None or not str(value).strip("()*"):
        return ""
    if any(isinstance(item, Allowed) and item.words.startswith(FORM) for item in info.metadata):
        return f"`{format_duration(value)}`"
    if isinstance(value, tuple):
        return f"`{' '.join(map(str, value))}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


TABLES = {"configuration.md": settings, "events.md": events}


def split(document: str) -> tuple[str, str, str]:
    """Return what stands before, between and after the marks of the generated part."""
    before, _, rest = document.partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before + BEGIN, inside, END + after


if __name__ == "__main__":
    for name, table in TABLES.items():
        path = DOCS / name
        before, _, after = split(path.read_text())
        path.write_text(before + table() + after)
