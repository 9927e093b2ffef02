"""What amiguard makes of bytes of the manager interface, in words; else the header at which they leave the schema."""

from __future__ import annotations

import re

from amiguard.asterisk.events import EventParser
from amiguard.asterisk.framing import BANNER, BLOCK_END, LINE_END, FrameError, Framer
from amiguard.asterisk.log.explain import Explanation, event_fields
from amiguard.asterisk.log.fields import text
from amiguard.asterisk.schema import HEADERS
from amiguard.asterisk.weights import row_of

RULE = "every header stands in its place and once (main/security_events.c, table sec_events)"
TRUST = "RemoteAddress follows every text that a stranger may choose"
TAMPERED_RULE = "header lines were smuggled into this event (asterisk/events.py)"
TAMPERED_TRUST = "it stands in the last SessionID, LocalAddress and RemoteAddress, which follow the smuggled text"
HEADER = re.compile(rb"([A-Za-z]{1,32}): ")


def explain(data: bytes) -> list[Explanation]:
    """Explain one event, or several with an empty line between them; line feeds may have lost their CR on the way."""
    if LINE_END not in data:
        data = data.replace(b"\n", LINE_END)
    framer, parser = Framer(), EventParser()
    framer.feed(BANNER + LINE_END)
    try:
        blocks = framer.feed(data.strip(LINE_END) + BLOCK_END)
    except FrameError as error:
        return [Explanation(matched=False, counts=False, fields=(("conclusion", str(error)),))]
    events = [event for block in blocks for event in parser.feed(block, 0)] + parser.close()
    if not events:
        return [Explanation(matched=False, counts=False, fields=_nearest(blocks[0] if blocks else b""))]
    return [
        Explanation(
            matched=True,
            counts=row_of(event).weight > 0,
            fields=(
                ("rule", TAMPERED_RULE if event.tampered else RULE),
                ("address because", TAMPERED_TRUST if event.tampered else TRUST),
                *event_fields(event),
            ),
        )
        for event in events
    ]


def _nearest(block: bytes) -> tuple[tuple[str, str], ...]:
    lines = block.split(LINE_END)
    name = lines[0].removeprefix(b"Event: ").decode("ascii", "replace")
    if not lines[0].startswith(b"Event: ") or name not in HEADERS:
        return (("conclusion", f"no security event: {text(lines[0])}"),)
    given = [found.group(1).decode() if (found := HEADER.match(line)) else text(line) for line in lines]
    required, _ = HEADERS[name]
    start = given.index(required[0]) if required[0] in given else len(given)
    here = given[start:]
    for place, header in enumerate(required):
        if here[place : place + 1] != [header]:
            stopped = text(lines[start + place]) if place < len(here) else "the end of the event"
            return (
                ("nearest rule", f"{name}: {', '.join(required)}"),
                ("stopped at", stopped),
                ("conclusion", f"{header} does not stand in its place"),
            )
    return (("nearest rule", f"{name}: {', '.join(required)}"), ("conclusion", "a value has another form"))
