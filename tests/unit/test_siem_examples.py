"""The examples for SIEMs in docs/operations.md: they parse, and name only what a line of the log has."""

from __future__ import annotations

import json
import re
from datetime import datetime
from xml.etree import ElementTree as ET

import yaml

from tests.lab.documents import ROOT

TEXT = (ROOT / "docs/operations.md").read_text().partition("\n## SIEM\n")[2].partition("\n## ")[0]
LOG = "/var/log/amiguard/amiguard.log"


def example(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def ban() -> dict[str, object]:
    """Return the line of a ban, as docs/events.md shows it."""
    lines = re.findall(r'^{.*"event.action": ?"ban".*}$', (ROOT / "docs/events.md").read_text(), re.MULTILINE)
    told: dict[str, object] = json.loads(lines[0])
    return told


def test_filebeat_reads_the_log_and_puts_its_fields_at_the_top() -> None:
    [source] = yaml.safe_load(example("yaml"))["filebeat.inputs"]

    assert source["type"] == "filestream"
    assert source["id"], "filestream needs one"
    assert source["paths"] == [LOG]
    [parser] = source["parsers"]
    assert parser["ndjson"] == {"target": "", "overwrite_keys": True, "expand_keys": True, "add_error_key": True}


def test_dotted_names_expand_into_one_document_without_a_clash() -> None:
    document: dict[str, object] = {}
    for name, value in ban().items():
        *parents, last = name.split(".")
        here = document
        for parent in parents:
            below = here.setdefault(parent, {})
            assert isinstance(below, dict), f"{name}: its parent is a value"
            here = below
        assert last not in here
        here[last] = value

    assert {"@timestamp", "event", "source"} <= document.keys()


def test_the_rule_of_wazuh_matches_the_line_of_a_ban_and_no_other_event() -> None:
    told = ET.fromstring(f"<all>{example('xml')}</all>")
    rule, line = told.find("rule"), ban()
    assert rule is not None
    field = rule.find("field")
    assert field is not None
    assert field.text

    assert told.findtext("localfile/location") == LOG
    assert told.findtext("localfile/log_format") == "json"
    assert re.search(field.text, str(line[field.attrib["name"]]))
    assert not re.search(field.text, "unban")
    named = re.findall(r"\$\(([^)]+)\)", rule.findtext("description") or "")
    assert named
    assert {*named} <= line.keys()


def test_splunk_finds_the_time_in_the_line() -> None:
    [name] = re.findall(r"TIMESTAMP_FIELDS = (\S+)`", TEXT)

    assert name in ban()


def test_fluent_bit_reads_the_log_with_a_parser_that_finds_the_time() -> None:
    [path] = re.findall(r"^ +Path +(\S+)$", TEXT, re.MULTILINE)
    [parser] = re.findall(r"^ +Parser +(\S+)$", TEXT, re.MULTILINE)
    [[name, key, form]] = re.findall(
        r"^\[PARSER\]\n +Name +(\S+)\n +Format +json\n +Time_Key +(\S+)\n +Time_Format +(\S+)$", TEXT, re.MULTILINE
    )

    assert path == LOG
    assert parser == name
    read = datetime.strptime(str(ban()[key]), form.replace(".%L", ".%f")).astimezone()  # Python's word for it
    assert read == datetime.fromisoformat(str(ban()[key]))
