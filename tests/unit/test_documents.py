"""Every command that the documents show is run by a test, or it is said what holds it true instead."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from amiguard.cli.commands import app
from tests.lab.documents import ROOT, blocks

SYSTEMD, DOCKER, HERE = "tests/e2e/test_systemd.py", "tests/e2e/test_docker.py", "tests/unit/test_documents.py"
CHECKED = {
    "README.md": ["Makefile", SYSTEMD],
    "docs/install.md": [*[SYSTEMD] * 5, *[DOCKER] * 3, HERE],
    "docs/operations.md": [
        "tests/e2e/test_import_fail2ban.py",
        *["tests/e2e/test_operations.py"] * 3,
        "tests/e2e/test_splunk.py",
    ],
}
"""For each document, block by block: what runs it (on a Debian with the real systemd or Docker), or compares it with
what runs."""


def documents() -> list[str]:
    return [str(path.relative_to(ROOT)) for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]


def test_somebody_checks_each_block() -> None:
    shown = {name: blocks(name) for name in documents()}

    assert {name: len(found) for name, found in shown.items() if found} == {
        name: len(checks) for name, checks in CHECKED.items()
    }
    assert all((ROOT / path).exists() for checks in CHECKED.values() for path in checks)


def test_which_commands_are_not_run_is_said_exactly() -> None:
    text = (ROOT / "docs/development.md").read_text()
    [said] = re.findall(r"compared with what runs instead of being run:\n(.*)\.\n", text)
    checked = [pair for name, checks in CHECKED.items() for pair in zip(blocks(name), checks, strict=True)]
    compared = "".join(block for block, check in checked if check == HERE)
    ran = "".join(block for block, check in checked if check != HERE)

    found = re.findall(r"(?:^| )((?:docker|kubectl) [a-z]+)", compared, re.MULTILINE)
    assert re.findall(r"`([^`]*)`", said) == [*dict.fromkeys(found)]
    assert not re.findall(r"^(?:kubectl|helm|podman) ", ran, re.MULTILINE)


@pytest.mark.parametrize("name", documents())
def test_every_command_of_amiguard_that_is_shown_exists(name: str) -> None:
    known = {
        command.name or command.callback.__name__.replace("_", "-")
        for command in app.registered_commands
        if command.callback
    }
    lines = [line for block in blocks(name) for line in block.splitlines()]

    shown = {found[1] for line in lines if (found := re.match(r"amiguard ([a-z][a-z0-9-]+)", line))}
    assert shown <= known


def test_every_make_target_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"^make ([a-z-]+)", "".join(blocks("README.md")), re.MULTILINE)) <= targets


def compose() -> Any:
    return yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())["services"]["amiguard"]


def test_docker_runs_the_container_as_compose_does() -> None:
    run, _, status = blocks("docs/install.md", "Docker and Podman")[1].replace("\\\n", "").splitlines()
    options = list(pairwise(shlex.split(run)))

    assert [value for name, value in options if name == "--cap-add"] == compose()["cap_add"]
    assert [value for name, value in options if name == "--cap-drop"] == compose()["cap_drop"]
    assert ("--network", compose()["network_mode"]) in options
    health = re.search(r"^HEALTHCHECK .* CMD (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert health is not None
    assert shlex.split(status)[3:] == yaml.safe_load(health[1])


def test_kubectl_names_what_is_there() -> None:
    apply, execute = blocks("docs/install.md", "Kubernetes")[0].splitlines()
    pod = yaml.safe_load((ROOT / "deploy/kubernetes/deployment.yaml").read_text())

    assert (ROOT / apply.split()[-1]).is_dir()
    assert f"deployment/{pod['metadata']['name']} -c amiguard" in execute
    [probe] = [
        one["readinessProbe"] for one in pod["spec"]["template"]["spec"]["containers"] if "readinessProbe" in one
    ]
    assert shlex.split(execute.partition(" -- ")[2]) == probe["exec"]["command"]


def test_every_link_between_documents_leads_somewhere() -> None:
    for name in (*documents(), "CHANGELOG.md", "SECURITY.md"):
        here = (ROOT / name).parent
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text()):
            assert (here / target).exists(), f"{name}: {target}"


def test_every_variable_that_a_document_names_exists() -> None:
    from amiguard.settings.places import ENV_FILE, SECRETS_DIR, VARIABLES  # noqa: PLC0415 -- only here

    for path in (*map(Path, documents()), Path("SECURITY.md"), Path("deploy/amiguard.env.example")):
        text = (ROOT / path).read_text()
        named = set(re.findall(r"AMIGUARD_[A-Z0-9_]*[A-Z0-9]", text))
        settings = {
            name for name in named if not re.search("TEST|CHAOS|FUZZ|SOAK", name)
        }  # of the tests, by development.md
        assert settings <= {*VARIABLES, ENV_FILE, SECRETS_DIR}, path
