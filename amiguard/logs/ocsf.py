"""A line as an event of the Open Cybersecurity Schema Framework: https://schema.ocsf.io/1.8.0

It is made of the line's ECS fields. What OCSF has no place for stands in `unmapped` under its ECS name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple

from amiguard import __version__
from amiguard.journal import Action
from amiguard.logs.entry import Entry, Level
from amiguard.logs.fields import Line, Value

OCSF_VERSION = "1.8.0"

PRODUCT = {"name": "amiguard", "vendor_name": "amiguard", "version": __version__}


class EventClass(IntEnum):
    """`class_uid`: the category is in the thousands."""

    BASE_EVENT = 0
    DETECTION_FINDING = 2004
    AUTHENTICATION = 3002
    APPLICATION_LIFECYCLE = 6002
    APPLICATION_ERROR = 6008

    @property
    def title(self) -> str:
        """`class_name`."""
        return self.name.replace("_", " ").title()


class Control(IntEnum):
    """`action_id`: what a security control did."""

    ALLOWED = 1
    DENIED = 2
    OBSERVED = 3


class Disposition(IntEnum):
    """`disposition_id`: what came of it."""

    ALLOWED = 1
    BLOCKED = 2
    DETECTED = 15
    LOGGED = 17


CREATE, UPDATE, CLOSE = 1, 2, 3
"""`activity_id` of a finding."""
NEW, RESOLVED = 1, 4
"""`status_id` of a finding."""
SUCCESS, FAILURE, UNKNOWN = 1, 2, 0
"""`status_id` of any other event."""
LOGON, GENERAL_ERROR, OTHER = 1, 1, 99
"""`activity_id` of an authentication, an application error, and a base event."""

LIFECYCLE = {Action.START: 3, Action.READY: 6, Action.STOP: 4, Action.SETTINGS_RELOADED: 8}
"""`activity_id`: start, enable, stop, update."""

SEVERITIES = {Level.DEBUG: 1, Level.INFO: 1, Level.WARNING: 3, Level.ERROR: 4}
"""`severity_id`: informational, medium, high."""

CONFIDENCES = {"datagram": 1, "connected": 3}
"""`confidence_id`, low or high, by the evidence for the address."""

IP_ADDRESS, USER_NAME, SUBNET = 2, 4, 12
"""`type_id` of an observable."""


class Shape(NamedTuple):
    """What all events of one action have in common. `control` and `disposition` are those of findings."""

    event_class: EventClass
    activity: int
    control: Control = Control.OBSERVED
    disposition: Disposition = Disposition.DETECTED


FINDINGS = {
    Action.BAN: Shape(EventClass.DETECTION_FINDING, CREATE, Control.DENIED, Disposition.BLOCKED),
    Action.UNBAN: Shape(EventClass.DETECTION_FINDING, CLOSE, Control.ALLOWED, Disposition.ALLOWED),
    Action.EXPIRE: Shape(EventClass.DETECTION_FINDING, CLOSE, Control.ALLOWED, Disposition.ALLOWED),
    Action.BAN_SKIPPED: Shape(EventClass.DETECTION_FINDING, CREATE, Control.ALLOWED, Disposition.ALLOWED),
}
"""Those that are more than observed. A ban and its end are one finding."""

DRY_RUN = Shape(EventClass.DETECTION_FINDING, CREATE, Control.OBSERVED, Disposition.LOGGED)


def shape_of(action: Action, entry: Entry) -> Shape:
    """Return the class of an action's events, and what they say was done: by where ECS has it."""
    if "authentication" in entry.category:
        return Shape(EventClass.AUTHENTICATION, LOGON)
    if "intrusion_detection" in entry.category:
        return FINDINGS.get(action, Shape(EventClass.DETECTION_FINDING, CREATE))
    if action in LIFECYCLE:
        return Shape(EventClass.APPLICATION_LIFECYCLE, LIFECYCLE[action])
    if entry.outcome == "failure":
        return Shape(EventClass.APPLICATION_ERROR, GENERAL_ERROR)
    return Shape(EventClass.BASE_EVENT, OTHER)


def ocsf_event(action: Action, entry: Entry, line: Line, host: str) -> dict[str, object]:
    """Return `line` as an event; it is used up."""
    shape = shape_of(action, entry)
    at = round(datetime.fromisoformat(str(line.pop("@timestamp"))).timestamp() * 1000)
    outcome = line.pop("event.outcome", "")
    if action is Action.BAN and outcome != "success":
        shape = DRY_RUN
    told: dict[str, object] = {
        "time": at,
        "class_uid": shape.event_class.value,
        "class_name": shape.event_class.title,
        "category_uid": shape.event_class // 1000,
        "activity_id": shape.activity,
        "type_uid": shape.event_class * 100 + shape.activity,
        "severity_id": SEVERITIES[entry.level],
        "status_id": {"success": SUCCESS, "failure": FAILURE}.get(str(outcome), UNKNOWN),
        "message": line.pop("message"),
        "metadata": {
            "version": OCSF_VERSION,
            "product": PRODUCT,
            "log_name": "amiguard",
            "event_code": action.value,
            "profiles": ["host"],
        },
        "device": {"hostname": host, "type_id": 1},
    }
    match shape.event_class:
        case EventClass.DETECTION_FINDING:
            told |= _finding(shape, action, line, at, told)
        case EventClass.AUTHENTICATION:
            told |= _authentication(line, host)
        case EventClass.APPLICATION_LIFECYCLE:
            told["app"] = PRODUCT
        case EventClass.APPLICATION_ERROR:
            told |= _taken(line, {"error.type": "status_code", "error.message": "status_detail"})
        case EventClass.BASE_EVENT:
            told["activity_name"] = action.value
    line.pop("related.ip", None)
    if line:
        told["unmapped"] = line
    return told


def _finding(shape: Shape, action: Action, line: Line, at: int, told: Mapping[str, Any]) -> dict[str, object]:
    target = line.get("source.ip") or line.get("source.address") or "-"
    since = line.get("amiguard.since")
    one = f"ban/{target}/{since}" if since else f"{action.value}/{target}/{at}"
    info: dict[str, object] = {"uid": one, "title": action.value, "analytic": {"type_id": 1, "name": "amiguard"}}
    if reason := line.get("event.reason"):
        info["types"] = [reason]
    found: dict[str, object] = {
        "is_alert": shape.activity != CLOSE,
        "status_id": RESOLVED if shape.activity == CLOSE else NEW,
        "action_id": shape.control.value,
        "disposition_id": shape.disposition.value,
        "metadata": {**told["metadata"], "profiles": ["host", "security_control"]},
        "finding_info": info,
    }
    if confidence := CONFIDENCES.get(str(line.get("amiguard.evidence"))):
        found["confidence_id"] = confidence
    if comment := line.pop("amiguard.comment", None):
        found["comment"] = comment
    source = _source(line)
    users = _users(line)
    if source or users:
        found["evidences"] = [{**source, "user": {"name": user}} for user in users] or [source]
        found["observables"] = _observables("evidences.", source, users)
    return found


def _authentication(line: Line, host: str) -> dict[str, object]:
    source, user = _source(line), line.pop("user.name", "")
    found: dict[str, object] = {
        "user": {"name": user},
        **source,
        "dst_endpoint": {"hostname": host},
        "is_remote": True,
        "observables": _observables("", source, [user]),
    }
    if service := line.pop("asterisk.service", None):
        found["service"] = {"name": service}
    if session := line.pop("asterisk.session_id", None):
        found["session"] = {"uid": session}
    return found | _taken(line, {"event.code": "status_code", "event.reason": "status_detail"})


def _source(line: Line) -> dict[str, Any]:
    endpoint = _taken(line, {"source.ip": "ip", "source.address": "name", "source.port": "port"})
    return {"src_endpoint": endpoint} if endpoint else {}


def _taken(line: Line, names: Mapping[str, str]) -> dict[str, object]:
    """Take fields out of `line`; return them under their names in OCSF."""
    return {name: line.pop(field) for field, name in names.items() if field in line}


def _users(line: Line) -> list[Value]:
    """Take the names that were tried out of `line`."""
    one, several = line.pop("user.name", None), line.pop("related.user", None)
    if isinstance(several, list):
        return list(several)
    return [] if one is None else [one]


def _observables(path: str, source: Mapping[str, Any], users: Sequence[Value]) -> list[dict[str, object]]:
    """Return what an analyst searches for; `path` leads to where it stands in the event."""
    found: list[dict[str, object]] = []
    endpoint = source.get("src_endpoint", {})
    if "ip" in endpoint:
        found.append({"name": f"{path}src_endpoint.ip", "type_id": IP_ADDRESS, "value": endpoint["ip"]})
    elif "name" in endpoint:
        found.append({"name": f"{path}src_endpoint.name", "type_id": SUBNET, "value": endpoint["name"]})
    return found + [{"name": f"{path}user.name", "type_id": USER_NAME, "value": user} for user in users if user]
