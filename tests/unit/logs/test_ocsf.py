"""Every kind of line is held against the published Open Cybersecurity Schema Framework."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiguard.journal import Action
from amiguard.logs import open_journal
from amiguard.logs.ocsf import OCSF_VERSION, PRODUCT
from amiguard.model import Evidence, Reason
from tests.lab.doc_tables import BAN, FAILURE, MANUAL, NOW, example

SCHEMA = json.loads((Path(__file__).parents[2] / "data/ocsf.json").read_text())


def mistakes(event: Any) -> list[str]:
    """Everything in an event that the schema does not allow; also what this subset of it does not know."""
    described = SCHEMA["classes"].get(str(event["class_uid"]))
    if described is None:
        return [f"class {event['class_uid']}"]
    found = list(mistakes_of(described, event, "", set(event["metadata"].get("profiles", []))))
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append("type_uid")
    if event["class_name"] != described["name"]:
        found.append("class_name")
    return found


def mistakes_of(described: Any, value: Any, path: str, profiles: set[str]) -> Iterator[str]:
    for name, attribute in described["attributes"].items():
        applies = attribute.get("profile") is None or attribute["profile"] in profiles
        if name in value and not applies:
            yield f"{path}{name} is of the profile {attribute['profile']}"
        if attribute["requirement"] == "required" and applies and name not in value:
            yield f"{path}{name} is missing"
    for name, inner in value.items():
        if name not in described["attributes"]:
            yield f"{path}{name} is unknown"
            continue
        attribute = described["attributes"][name]
        if isinstance(inner, list) != attribute.get("array", False):
            yield f"{path}{name} is {inner}"
        for item in inner if isinstance(inner, list) else [inner]:
            yield from mistakes_in(attribute, item, f"{path}{name}", profiles)
    wanted = described["constraints"].get("at_least_one", [])
    if wanted and not set(wanted) & value.keys():
        yield f"{path} has none of {wanted}"


def mistakes_in(attribute: Any, item: Any, path: str, profiles: set[str]) -> Iterator[str]:
    if "enum" in attribute and str(item) not in attribute["enum"]:
        yield f"{path} is {item}"
    if attribute["type"] in SCHEMA["objects"]:
        yield from mistakes_of(SCHEMA["objects"][attribute["type"]], item, f"{path}.", profiles)
    elif not is_of(attribute["type"], item):
        yield f"{path} is {item!r} and no {attribute['type']}"


def is_of(kind: str, item: Any) -> bool:
    match kind:
        case "integer_t" | "long_t" | "timestamp_t":
            return type(item) is int
        case "port_t":
            return type(item) is int and 0 <= item <= 65_535
        case "string_t" | "username_t" | "hostname_t":
            return type(item) is str
        case "boolean_t":
            return type(item) is bool
        case "ip_t":
            return bool(ipaddress.ip_address(item))
        case "object":
            return isinstance(item, dict)
        case _:
            raise AssertionError(f"a type that is not checked yet: {kind}")


def event(action: Action) -> Any:
    return json.loads(example(action, "ocsf"))


def written(tmp_path: Path, action: Action, **fields: object) -> Any:
    with (tmp_path / "log").open("w+") as file:
        open_journal("ocsf", clock=lambda: NOW, stream=file).write(action, **fields)
        file.seek(0)
        return json.loads(file.read())


def test_the_log_names_the_version_that_is_checked() -> None:
    assert SCHEMA["version"] == OCSF_VERSION == event(Action.STOP)["metadata"]["version"]


@pytest.mark.parametrize("action", Action)
def test_every_kind_of_line_is_an_event_of_the_schema(action: Action) -> None:
    told = event(action)

    assert mistakes(told) == []
    assert told["time"] == NOW
    assert told["metadata"]["event_code"] == action.value
    assert told["message"]
    for observable in told.get("observables", []):
        assert observable["type_id"] in SCHEMA["observables"].values()
        assert observable["value"] in found_at(told, observable["name"].split("."))


def found_at(value: Any, path: list[str]) -> list[Any]:
    """What stands at a path; of a list's items each."""
    if not path:
        return [value]
    if isinstance(value, list):
        return [inner for item in value for inner in found_at(item, path)]
    return found_at(value[path[0]], path[1:]) if path[0] in value else []


def test_a_mistake_would_be_found() -> None:
    told = event(Action.BAN)
    changes: tuple[dict[str, Any], ...] = (
        {"severity_id": 77},
        {"time": "now"},
        {"severity": None},
        {"nothing": 1},
        {"metadata": {"version": "1"}},
        {"type_uid": 1},
        {"evidences": [{}]},
        {"class_uid": 4001},
    )
    for change in changes:
        assert mistakes(told | change) != [], change
    del told["finding_info"]
    assert mistakes(told) == ["finding_info is missing"]


def test_a_failure_is_a_failed_authentication() -> None:
    told = event(Action.FAILURE)

    assert (told["class_uid"], told["activity_id"], told["status_id"], told["severity_id"]) == (3002, 1, 2, 1)
    assert told["src_endpoint"] == {"ip": "192.0.2.77", "port": 5071}
    assert (told["user"], told["service"]) == ({"name": "1000"}, {"name": "PJSIP"})
    assert (told["status_code"], told["status_detail"]) == ("ChallengeResponseFailed", "wrong-password")
    assert told["dst_endpoint"] == {"hostname": "pbx"}
    assert told["session"] == {"uid": "a84b4c76e66710"}
    assert [(one["name"], one["type_id"], one["value"]) for one in told["observables"]] == [
        ("src_endpoint.ip", 2, "192.0.2.77"),
        ("user.name", 4, "1000"),
    ]
    assert told["unmapped"]["amiguard.evidence"] == "datagram"


def test_a_ban_is_a_finding_that_was_blocked_and_its_end_closes_the_same_one() -> None:
    ban, end = event(Action.BAN), event(Action.EXPIRE)

    assert (ban["class_uid"], ban["activity_id"], ban["status_id"], ban["is_alert"]) == (2004, 1, 1, True)
    assert (ban["action_id"], ban["disposition_id"], ban["confidence_id"]) == (2, 2, 1)
    assert [evidence["user"]["name"] for evidence in ban["evidences"]] == ["1000", "admin"]
    assert ban["finding_info"]["types"] == ["wrong-password"]
    assert (end["activity_id"], end["status_id"], end["is_alert"]) == (3, 4, False)
    assert ban["finding_info"]["uid"] == end["finding_info"]["uid"] == "ban/192.0.2.77/2025-12-01T12:00:00.123Z"


def test_a_dry_run_blocks_nobody(tmp_path: Path) -> None:
    told = written(tmp_path, Action.BAN, ban=BAN._replace(evidence=Evidence.CONNECTED), outcome="unknown")

    assert mistakes(told) == []
    assert (told["action_id"], told["disposition_id"], told["confidence_id"]) == (3, 17, 3)


def test_a_banned_network_is_a_subnet_and_no_address(tmp_path: Path) -> None:
    told = written(tmp_path, Action.BAN, ban=MANUAL)

    assert mistakes(told) == []
    assert told["evidences"] == [{"src_endpoint": {"name": "198.51.100.0/24"}}]
    assert told["observables"] == [{"name": "evidences.src_endpoint.name", "type_id": 12, "value": "198.51.100.0/24"}]
    assert told["comment"] == "scans us every night"


def test_the_daemons_life_is_that_of_an_application() -> None:
    start, stop = event(Action.START), event(Action.STOP)

    assert (start["class_uid"], start["activity_id"], start["app"]) == (6002, 3, PRODUCT)
    assert (stop["class_uid"], stop["activity_id"]) == (6002, 4)


def test_what_fails_is_an_application_error() -> None:
    told = event(Action.STORE_FAILED)

    assert (told["class_uid"], told["status_code"], told["severity_id"]) == (6008, "StoreError", 4)
    assert told["status_detail"] == "the database is read-only"


ANY = st.text(max_size=300) | st.text(alphabet='\x00\x1b\n\r"\\{}\ud800\udfff\u2028\x85e', max_size=20)


@given(texts=st.tuples(ANY, ANY, ANY, ANY, ANY), reason=st.sampled_from(Reason), port=st.integers(0, 65_535))
def test_whatever_an_attacker_writes_is_one_bounded_event_of_the_schema(
    tmp_path_factory: pytest.TempPathFactory, texts: tuple[str, ...], reason: Reason, port: int
) -> None:
    account, session, code, service, transport = texts
    failure = FAILURE._replace(
        account=account, session=session, code=code, service=service, transport=transport, reason=reason, port=port
    )
    path = tmp_path_factory.getbasetemp() / "hostile"
    with path.open("w") as file:
        journal = open_journal("ocsf", clock=lambda: NOW, stream=file)
        journal.write(Action.FAILURE, failure=failure)
        journal.write(Action.INJECTION, account, failure=failure)
        journal.write(Action.BAN, ban=BAN._replace(accounts=texts, service=service, comment=code))
    content = path.read_bytes()

    assert content.isascii()
    lines = content.split(b"\n")
    assert len(lines) == 4
    for line in lines[:3]:
        assert mistakes(json.loads(line)) == []
        assert len(line) < 100_000
