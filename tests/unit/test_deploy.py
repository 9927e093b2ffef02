"""What deploy/ offers for containers fits the published schemas, and what the daemon knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from amiguard.settings import Settings
from tests.lab.daemon import ALLOCATOR

DEPLOY = Path(__file__).parents[2] / "deploy"
DATA = Path(__file__).parents[1] / "data"
COMPOSE = DEPLOY / "compose/compose.yaml"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def faults(schema: str, document: Any) -> list[str]:
    validator = jsonschema_rs.validator_for(json.loads((DATA / schema).read_text()))
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(document)]


def test_the_compose_file_fits_the_compose_specification() -> None:
    document = yaml.safe_load(COMPOSE.read_text())

    assert faults("compose-spec.json", document) == []
    document["services"]["amiguard"]["cap_drops"] = ["ALL"]
    assert "cap_drops" in str(faults("compose-spec.json", document))


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.stem)
def test_a_kubernetes_object_fits_its_schema(path: Path) -> None:
    document = yaml.safe_load(path.read_text())

    assert faults("kubernetes.json", document) == []
    assert "metadatum" in str(faults("kubernetes.json", document | {"metadatum": {}}))


def test_unit_image_and_tests_tell_the_c_library_the_same() -> None:
    unit = (DEPLOY / "systemd/amiguard.service").read_text().splitlines()
    image = (DEPLOY.parent / "Dockerfile").read_text().splitlines()

    for name, value in ALLOCATOR.items():
        assert f"Environment={name}={value}" in unit
        assert f"ENV {name}={value}" in image


def test_both_set_only_variables_that_exist_and_give_the_container_the_same_capabilities() -> None:
    compose = yaml.safe_load(COMPOSE.read_text())["services"]["amiguard"]
    pod = yaml.safe_load((DEPLOY / "kubernetes/deployment.yaml").read_text())["spec"]["template"]["spec"]
    [sidecar] = [container for container in pod["containers"] if container["name"] == "amiguard"]

    named = {*compose["environment"], *(variable["name"] for variable in sidecar["env"])}
    assert {name.removeprefix("AMIGUARD_").lower() for name in named} <= Settings.model_fields.keys()
    capabilities = sidecar["securityContext"]["capabilities"]
    assert (capabilities["drop"], capabilities["add"]) == (compose["cap_drop"], compose["cap_add"])
