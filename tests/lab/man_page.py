"""Generates the man page from the commands: `python -m tests.lab.man_page` rewrites it; a test compares it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from amiguard import __version__
from amiguard.cli.commands import app

PAGE = Path(__file__).parents[2] / "deploy" / "man" / "amiguard.1"

DATE = "2026-11-27"
"""When it was last rewritten: man(7) asks for it."""

FILES = {
    "/etc/amiguard/amiguard.env": "the settings, where the systemd unit reads them",
    "/run/amiguard/amiguard.sock": "the control socket",
    "/var/lib/amiguard/amiguard.db": "what is remembered over restarts",
}

CODES = {
    "0": "It went well; of a question, the answer is yes.",
    "1": "The answer is no, or it failed.",
    "2": "Wrong usage, or a setting is wrong.",
    "3": "The daemon can't be reached.",
}


def escaped(text: str) -> str:
    """Return text in which troff sees nothing to obey."""
    shown = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown


def listed(entries: dict[str, str]) -> Iterator[str]:
    """Return terms with their explanations."""
    for term, meaning in entries.items():
        yield from (".TP", f".B {escaped(term)}", escaped(meaning))


def name_of(parameter: Any) -> str:
    """Return an option or argument as it is written."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
    return ", ".join(parameter.opts) + value


def meaning_of(parameter: Any) -> str:
    """Return what an option or argument means, and its default where that is said."""
    default = parameter.show_default if isinstance(parameter.show_default, str) else ""
    return f"{parameter.help or ''}{f' Default: {default}.' if default else ''}"


def command_lines(name: str, command: Any) -> Iterator[str]:
    """Return the section of one command."""
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and "--help" not in one.opts]
    usage = " ".join([name, *(["[OPTION]..."] if options else []), *map(name_of, arguments)])
    yield from (f".SS {escaped(usage)}", escaped(command.help))
    yield from listed({name_of(one): meaning_of(one) for one in (*arguments, *options)})


def man_page() -> str:
    """Return the page in troff's man macros, man(7)."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    lines = [
        f'.TH AMIGUARD 1 {DATE} "amiguard {__version__}" "System Administration"',
        *(".SH NAME", "amiguard \\- bans the attackers of an Asterisk server in the kernel"),
        *(".SH SYNOPSIS", ".B amiguard", ".I COMMAND", "[OPTION]... [ARGUMENT]..."),
        ".SH DESCRIPTION",
        escaped(
            "amiguard hears each failed login from Asterisk, and has who fails too often dropped by the kernel. "
            "`amiguard run` is the daemon; most other commands talk to it over its control socket, "
            "which root and the members of a group may use."
        ),
        escaped(
            "Every command that prints takes --json. `amiguard --install-completion` completes them in your shell."
        ),
        ".SH COMMANDS",
        *(line for name, command in commands.items() for line in command_lines(name, command)),
        *(".SH EXIT STATUS", *listed(CODES)),
        ".SH ENVIRONMENT",
        escaped("Settings are variables that begin with AMIGUARD_; `amiguard check` tries them."),
        *(".SH FILES", *listed(FILES)),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(man_page())
