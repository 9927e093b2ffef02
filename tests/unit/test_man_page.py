"""The man page tells what the commands are, and every man can show it."""

from __future__ import annotations

import subprocess

from typer.main import get_command

from amiguard.cli.commands import app
from tests.lab.man_page import PAGE, man_page


def test_the_man_page_is_up_to_date() -> None:
    assert PAGE.read_text() == man_page(), "run: python -m tests.lab.man_page"


def test_a_strict_reader_has_nothing_to_say_about_it() -> None:
    told = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", PAGE], capture_output=True, text=True, check=False)

    assert (told.returncode, told.stdout) == (0, "")


def test_every_command_stands_in_it_with_its_options() -> None:
    shown = subprocess.run(["mandoc", "-T", "ascii", PAGE], capture_output=True, text=True, check=True).stdout
    plain = shown.replace("\b", "\0")
    text = "".join(char for index, char in enumerate(plain) if char != "\0" and plain[index + 1 : index + 2] != "\0")

    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f"\n   {name} " in text
        for parameter in command.params:
            assert all(option in text for option in parameter.opts if option.startswith("--") and option != "--help")
