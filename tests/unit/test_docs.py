"""What the documents promise is what the code does."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from amiguard.journal import Action
from amiguard.logs.catalogue import CATALOGUE
from amiguard.settings import Settings, load
from tests.lab.doc_tables import BEGIN, DOCS, END, EXAMPLES, TABLES, default, split

PACKAGE = DOCS.parent / "amiguard"


@pytest.mark.parametrize("name", TABLES)
def test_a_generated_table_is_up_to_date(name: str) -> None:
    document = (DOCS / name).read_text()

    assert (document.count(BEGIN), document.count(END)) == (1, 1)
    assert split(document)[1] == TABLES[name](), "run: python -m tests.lab.doc_tables"


def test_every_action_stands_in_the_catalogue_and_has_an_example() -> None:
    assert set(CATALOGUE) == set(EXAMPLES) == set(Action)


def test_every_example_line_in_the_documents_is_one_json_object_of_its_action() -> None:
    document = (DOCS / "events.md").read_text()
    found = re.findall(r"^### `([a-z-]+)`\n.*?^```json\n(.*?)\n```$", document, re.MULTILINE | re.DOTALL)

    assert [action for action, _ in found] == [action.value for action in CATALOGUE]
    for action, line in found:
        assert json.loads(line)["event.action"] == action


def test_every_field_of_a_domain_value_is_explained() -> None:
    document = (DOCS / "events.md").read_text()
    explained = set(re.findall(r"`([a-z@][a-z_.@]+)`", split(document)[0]))
    lines = [json.loads(line) for line in re.findall(r"^```json\n(.*?)\n```$", document, re.MULTILINE)]

    used = {name for line in lines if line["event.action"] in {"failure", "injection", "ban", "unban"} for name in line}
    assert used - explained == set()


def test_every_setting_has_a_meaning_and_its_shown_default_is_the_default() -> None:
    login = {"AMIGUARD_AMI_USERNAME": "u", "AMIGUARD_AMI_SECRET": "s"}
    shown = {f"AMIGUARD_{name.upper()}": default(info).strip("`") for name, info in Settings.model_fields.items()}

    assert all(info.description for info in Settings.model_fields.values())
    assert load(environ=shown | login) == load(environ=login)


def uses(path: Path) -> set[str]:
    """The names `X` of `Action.X` in a file."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Action"
    }


def test_every_action_is_written_by_some_part_and_by_no_other_name() -> None:
    parts = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "logs"]

    assert set().union(*map(uses, parts)) == {action.name for action in Action}


def promises() -> list[list[str]]:
    """The cells of each row of the table of promises: promise, how, proved by."""
    _, _, table = (DOCS / "security.md").read_text().partition("| promise | how | proved by |\n")
    rows = table.partition("\n\n")[0].splitlines()[1:]
    return [re.split(r" \| ", row.strip("| ")) for row in rows]


@pytest.mark.parametrize("row", promises(), ids=lambda row: row[0][:60])
def test_every_promise_names_the_files_that_prove_it(row: list[str]) -> None:
    _, _, proof = row
    named = [DOCS.parent / name for name in re.findall(r"`([^`]+)`", proof)]

    assert named
    for path in named:
        assert path.is_relative_to(DOCS.parent / "tests")
        assert path.is_file(), path


def test_the_documents_name_only_tests_that_exist() -> None:
    for document in DOCS.glob("*.md"):
        for name in re.findall(r"`(tests/[a-z0-9_/.]+)`", document.read_text()):
            assert (DOCS.parent / name).exists(), f"{document.name}: {name}"


def test_the_documents_name_only_modules_that_exist() -> None:
    roots = (DOCS.parent, PACKAGE, DOCS.parent / "tests")
    for document in DOCS.glob("*.md"):
        for name in re.findall(r"`([a-z0-9_/]+\.py)`", document.read_text()):
            assert any((root / name).exists() for root in roots), f"{document.name}: {name}"


def places() -> list[tuple[str, str, str]]:
    """The rows of the table that says where a line belongs: what is added, where, and its test."""
    _, _, table = (DOCS / "development.md").read_text().partition("| to add | touch | and its test |\n")
    rows = table.partition("\n\n")[0].splitlines()[1:]
    return [(what, touch, test) for what, touch, test in (row.strip("| ").split(" | ") for row in rows)]


@pytest.mark.parametrize("row", places(), ids=lambda row: row[0])
def test_who_adds_something_is_led_to_files_that_exist_and_hold_what_is_named(row: tuple[str, str, str]) -> None:
    _, touch, test = row
    named = re.findall(r"`([a-z0-9_/]+(?:/|\.[a-z]+))`", f"{touch} {test}")

    assert re.search(r"`tests/", test)
    for name in named:
        assert (PACKAGE / name).exists() or (PACKAGE.parent / name).exists(), name
    for word, name in re.findall(r"`(\w+)` in `([a-z_/]+\.py)`", touch):
        assert re.search(rf"\b{word}\b", (PACKAGE / name).read_text()), f"{word} in {name}"
