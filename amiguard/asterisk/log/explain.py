"""What amiguard makes of one line, in words: the rule, the fields, the conclusion; else the nearest rule, and where the
line left it."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from amiguard.asterisk.log import jsonlines, prefix
from amiguard.asterisk.log.fields import text
from amiguard.asterisk.log.reading import SECURITY_LOG, Channel, Kind, LogReader, Reading
from amiguard.asterisk.log.table import ROWS, TABLE, Row
from amiguard.asterisk.schema import SecurityEvent
from amiguard.asterisk.weights import evidence_of, row_of
from amiguard.model import Timestamp

SECURITY_RULE = "the SECURITY line's fields stand in Asterisk's order (main/security_events.c, res/res_security_log.c)"
SECURITY_TRUST = (
    "RemoteAddress is the last pair of addresses, behind every name, and nothing behind it holds a bare quote"
)
ALARMS = {
    "cut": "longer than Asterisk writes a line: two lines in one, and neither is whole",
    "json-cut": "no whole JSON object: Asterisk cut it",
    "security-torn": "a line feed in a name tore the line before its address",
    "security-ambiguous": "two fields could be Asterisk's RemoteAddress, and they name two addresses",
}


class Explanation(NamedTuple):
    """`fields` are name and value, in the order in which to show them. `counts`: whether the line counts an attempt."""

    matched: bool
    counts: bool
    fields: tuple[tuple[str, str], ...]


def explain(line: bytes, zone: tzinfo, now: Timestamp, reader: LogReader | None = None) -> Explanation:
    """Explain one line without its line feed. Pass the `reader` that read the lines before it, if there is one."""
    reader = reader or LogReader(zone)
    reading = reader.read(line, now)
    log = ("log", _kind(reader.kind))
    if reading is None:
        return Explanation(matched=False, counts=False, fields=(log, *_nearest(line)))
    fields = [log, ("shape", reading.shape), *_rule(reading)]
    if reading.at is not None:
        fields.append(("time", datetime.fromtimestamp(reading.at / 1000, UTC).isoformat(timespec="milliseconds")))
    if reading.event is None:
        fields.append(("conclusion", _silence(reading)))
        return Explanation(matched=True, counts=False, fields=tuple(fields))
    fields += event_fields(reading.event)
    return Explanation(matched=True, counts=row_of(reading.event).weight > 0, fields=tuple(fields))


def _kind(kind: Kind) -> str:
    return f"{kind}: its lines {'keep' if kind is Kind.JSON else 'lose'} the proof that a transport gives"


def _rule(reading: Reading) -> list[tuple[str, str]]:
    if reading.channel is Channel.SECURITY:
        return [("rule", SECURITY_RULE), ("address because", SECURITY_TRUST)]
    rows = [row for row in TABLE for outcome in row.outcomes.values() if outcome.shape == reading.shape]
    return (
        [("rule", rows[0].form), ("address because", rows[0].trust.value), ("source", rows[0].source)] if rows else []
    )


def _silence(reading: Reading) -> str:
    if reading.shape in ALARMS:
        return "names nobody: " + ALARMS[reading.shape]
    if reading.channel is Channel.ALARM:
        return "reported, names nobody: no address in it is certainly Asterisk's own"
    return "counts nobody: no attack, or a line before it told of the same attempt"


def event_fields(event: SecurityEvent) -> list[tuple[str, str]]:
    """Return what an event names, and what it counts and why, as `Explanation.fields`."""
    row = row_of(event)
    counted = f"counts {row.weight} ({row.reason})" if row.weight else "counts nothing"
    return [
        ("address", event.address if not event.port else f"{event.address} port {event.port}"),
        ("event", f"{event.service} {event.name}" + (f" ({event.acl})" if event.acl else "")),
        ("account", event.account),
        ("session", event.session),
        ("transport", event.transport or "unknown"),
        ("evidence", evidence_of(event).value),
        ("conclusion", f"{counted}: {row.why}"),
    ]


def _nearest(line: bytes) -> tuple[tuple[str, str], ...]:
    found = prefix.match(line)
    if found is not None:
        file, message = found["file"], line[found.end() :]
    elif (decoded := jsonlines.decode(line)) is not None:
        file, message = decoded.file, decoded.message
    else:
        return (("conclusion", "no line of Asterisk's log of level NOTICE, WARNING, ERROR or SECURITY"),)
    if file == SECURITY_LOG:
        return (("rule", SECURITY_RULE), ("conclusion", "the fields are not those of any event, in its order"))
    if file not in ROWS:
        return (("conclusion", f"no rule for lines of {text(file)}"),)
    row, reached = max(((row, _reach(row, message)) for row in ROWS[file]), key=lambda pair: pair[1])
    stopped = text(message[reached : reached + 60]) or "the end of the line"
    return (
        ("nearest rule", row.form),
        ("matched up to", str(reached)),
        ("stopped at", stopped),
        ("conclusion", "no rule fits"),
    )


def _reach(row: Row, message: bytes) -> int:
    """Return how many bytes of the message the fixed words of a row's form account for, in their order."""
    first, *others = (word.encode() for word in row.form.split("%s"))
    if not message.startswith(first):
        return 0
    reached = len(first)
    for word in others:
        at = message.find(word, reached)
        if at < 0:
            break
        reached = at + len(word)
    return reached
