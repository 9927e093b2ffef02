"""What a program is told: one JSON object a notice. `docs/events.md` describes it. Pure.

Attackers' text stands in it as it is, cut and escaped as JSON wants it: the reader must treat it as hostile."""

from __future__ import annotations

import json
from collections.abc import Mapping

from amiguard.answers import facts, iso
from amiguard.model import Ban, Timestamp
from amiguard.notifiers.alerts import Alert
from amiguard.notifiers.digest import Summary
from amiguard.notifiers.pace import Content

TEXT_LIMIT = 2000


def payload(content: Content, at: Timestamp, message_id: str, sender: Mapping[str, str]) -> bytes:
    """Return the body of a request. `sender` says which amiguard speaks: `host` and `version`."""
    told: dict[str, object] = {"id": message_id, "kind": "", "at": iso(at), **sender}
    match content:
        case Summary():
            told |= {"kind": "digest", "count": content.count, "bans": [shown(ban) for ban in content.bans]}
        case Alert():
            told |= {"kind": "alert", "action": content.name, "count": content.count, "texts": content.texts}
        case _:
            told["kind"] = content.kind.value
            if content.ban is None:
                told["text"] = content.text[:TEXT_LIMIT]
            else:
                told["ban"] = shown(content.ban)
    return json.dumps(told, separators=(",", ":")).encode("ascii")


def shown(ban: Ban) -> dict[str, object]:
    """Return a ban under the names that it has in the control API; `bantime` is seconds, -1 for a permanent one."""
    bantime = -1 if ban.until is None else (ban.until - ban.since) // 1000
    accounts = tuple(account[:256] for account in ban.accounts[:10])
    return facts(ban._replace(accounts=accounts, comment=ban.comment[:TEXT_LIMIT]), bantime=bantime)
