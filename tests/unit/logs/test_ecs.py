"""Every kind of line is held against the published field definitions of the Elastic Common Schema."""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from amiguard.journal import Action
from amiguard.logs.catalogue import CATALOGUE, ECS_VERSION
from tests.lab.doc_tables import example

SCHEMA = json.loads((Path(__file__).parents[2] / "data/ecs.json").read_text())
OWN = re.compile(r"(amiguard|asterisk)\.[a-z_]+")
"""Fields that ECS leaves to us; no field set of its own has these names."""


def is_of(kind: str, value: Any) -> bool:
    match kind:
        case "keyword" | "match_only_text" | "wildcard" | "text":
            return isinstance(value, str)
        case "long":
            return isinstance(value, int) and not isinstance(value, bool)
        case "ip":
            return bool(ipaddress.ip_address(value))
        case "date":
            return datetime.fromisoformat(value).tzinfo is not None
        case _:
            raise AssertionError(f"a type that is not checked yet: {kind}")


def test_the_log_names_the_version_that_is_checked() -> None:
    assert SCHEMA["version"] == ECS_VERSION


@pytest.mark.parametrize("action", Action)
def test_every_field_of_a_line_is_defined_and_has_its_type(action: Action) -> None:
    for name, value in json.loads(example(action)).items():
        if OWN.fullmatch(name):
            continue
        field = SCHEMA["fields"][name]
        assert isinstance(value, list) == field["array"], name
        for item in value if field["array"] else [value]:
            assert is_of(field["type"], item), name
            if name in SCHEMA["allowed"]:
                assert item in SCHEMA["allowed"][name]


@pytest.mark.parametrize("action", Action)
def test_an_action_is_classed_as_the_schema_expects(action: Action) -> None:
    entry = CATALOGUE[action]

    assert entry.outcome in {*SCHEMA["allowed"]["event.outcome"], ""}
    for category in entry.category:
        assert set(entry.type) <= set(SCHEMA["expected_types"][category])
