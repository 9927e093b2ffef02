"""What `amiguard check` says of Asterisk's configuration files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath

import pytest

from amiguard.asterisk.advice import Advice, logger, manager
from amiguard.asterisk.conf import Conf, settings_of
from amiguard.sources.etc import read_conf

DEPLOY = Path(__file__).parents[3] / "deploy/asterisk"
GENERAL = "[general]\nenabled = yes\nbindaddr = 127.0.0.1\n"
OURS = (DEPLOY / "manager.conf").read_text().replace("CHANGE-ME", "geheim")
LOGS = (PurePath("/var/log/asterisk/amiguard.json"), PurePath("/var/log/asterisk/full"))
LOGGER = (DEPLOY / "logger.conf").read_text()


def conf(text: str, file: str = "manager.conf") -> Conf:
    return Conf(file, settings_of(text, file))


def advised(text: str) -> list[Advice]:
    return list(manager(conf(text), "amiguard", "geheim", local=True))


def only(advice: Iterable[Advice]) -> Advice:
    [found] = advice
    return found


def test_the_snippets_that_we_ship_need_no_advice() -> None:
    assert advised(GENERAL + OURS) == []
    assert list(logger(conf(LOGGER), LOGS)) == []
    tls = (DEPLOY / "manager-tls.conf").read_text()
    assert list(manager(conf(tls), "amiguard", "CHANGE-ME", local=False)) == []


def test_what_a_section_inherits_from_templates_counts_and_its_own_lines_count_more() -> None:
    common, own = OURS.replace("[amiguard]", "[common](!)"), "[amiguard](common)\n"
    assert advised(GENERAL + common + own) == []
    assert advised(GENERAL + common + "[middle](!, common)\n[amiguard](middle)\n") == []
    assert "reads call" in only(advised(GENERAL + common + own + "read = security,call\n")).text
    assert advised(GENERAL + "[loop](loop)\n" + common + "[amiguard](loop,common)\n") == []


@pytest.mark.parametrize(
    ("line", "changed", "needed", "said"),
    [
        ("enabled = yes", "enabled = no", True, "manager.conf:2: the manager is off: enabled = yes"),
        ("enabled = yes", "enabled = yes\nwebenabled = yes", False, "manager.conf:3: over HTTP"),
        (
            "bindaddr = 127.0.0.1",
            "bindaddr = 0.0.0.0",
            False,
            "manager.conf:3: the manager can be reached",
        ),
        ("[amiguard]", "[other]", True, "manager.conf: has no section [amiguard]"),
        ("read = security", "read = system,call", True, "gets no security events: read = security"),
        ("read = security", "", True, "gets no security events: read = security"),
        ("read = security", "read = security,call,cdr", False, "amiguard reads call, cdr: read = security"),
        ("read = security", "read = all", False, "amiguard reads all"),
        ("write =\n", "write = originate\n", False, "amiguard may do originate: write ="),
        ("secret = geheim", "secret = another", True, "the secret is not that of AMIGUARD_AMI_SECRET"),
        ("writetimeout = 5000", "writetimeout = 100", False, "hang up on amiguard: writetimeout = 5000"),
        ("permit = 127.0.0.1/255.255.255.255", "", False, "anybody who reaches the port may try the secret"),
        ("write =\n", "write =\neventfilter = !Event: .*\n", False, "an eventfilter can hide security events"),
    ],
)
def test_the_line_to_change_in_manager_conf_is_named(line: str, changed: str, needed: bool, said: str) -> None:
    text = GENERAL + OURS
    assert line in text

    found = only(advised(text.replace(line, changed, 1)))

    assert (found.needed, said in found.text) == (needed, True), found
    assert "geheim" not in found.text
    assert "another" not in found.text


@pytest.mark.parametrize(
    ("line", "changed", "needed", "said"),
    [
        ("dateformat = %F %T.%3q%z", "dateformat = %F %T", False, "logger.conf:7: a line's time has no zone"),
        ("full => notice,warning", "full => warning", True, "full lacks notice"),
        ("full => notice,warning,error,verbose,security", "full => notice", False, "full lacks security"),
        ("full => ", "messages => ", True, "logger.conf: writes no full: full => notice"),
        ("[json]notice", "notice", False, "no followed log is [json]"),
    ],
)
def test_the_line_to_change_in_logger_conf_is_named(line: str, changed: str, needed: bool, said: str) -> None:
    assert line in LOGGER

    found = only(logger(conf(LOGGER.replace(line, changed), "logger.conf"), LOGS))

    assert (found.needed, said in found.text) == (needed, True), found


def test_comments_count_for_nothing_and_the_last_setting_for_all() -> None:
    text = "[general]\nenabled = no ; really\n;enabled = maybe\n;-- enabled = no\nmore --;\nenabled => YES\n"

    assert [one.value for one in conf(text).all("general", "enabled")] == ["no", "YES"]
    last = conf(text).last("general", "enabled")
    assert last is not None
    assert last.place == "manager.conf:6"


def test_what_is_included_is_read_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "manager.d").mkdir()
    (tmp_path / "manager.conf").write_text(
        f'{GENERAL}#include manager.d/*.conf\n#tryinclude "none.conf"\n#include ../x\n#include manager.conf\n'
    )
    (tmp_path / "manager.d/amiguard.conf").write_text("webenabled = yes\n" + OURS)

    found = read_conf(tmp_path, "manager.conf")

    assert found is not None
    told = only(manager(found, "amiguard", "geheim", local=True))
    assert told.text.startswith(f"{tmp_path}/manager.d/amiguard.conf:1: over HTTP")
    assert read_conf(tmp_path, "logger.conf") is None
