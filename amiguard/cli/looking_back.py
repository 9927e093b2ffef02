"""`amiguard replay` and `amiguard explain`: they need no daemon, and of the settings only the policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amiguard.cli.speaking import NO, EnvFile, Json, complain, wrong
from amiguard.errors import SettingsError

if TYPE_CHECKING:
    from amiguard.settings import Settings

Zone = Annotated[
    str | None,
    typer.Option("--timezone", metavar="ZONE", help="Of times without an offset.", show_default="ASTERISK_TIMEZONE"),
]


def replay(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Logs, also gzip'd; - = standard input.")],
    *,
    ami: Annotated[bool, typer.Option("--ami", help="The files are what Asterisk sent to a manager, raw.")] = False,
    maxretry: Annotated[
        str | None, typer.Option("--maxretry", metavar="N", help="Failures that lead to a ban.")
    ] = None,
    findtime: Annotated[str | None, typer.Option("--findtime", metavar="TIME", help="How long one counts.")] = None,
    bantime: Annotated[
        str | None, typer.Option("--bantime", metavar="TIME", help="1h, 5d, ...; -1 = for ever.")
    ] = None,
    unproven_bantime: Annotated[
        str | None, typer.Option("--unproven-bantime", metavar="TIME", help="Where only datagrams claim the address.")
    ] = None,
    ignoreip: Annotated[str | None, typer.Option("--ignoreip", metavar="LIST", help="Who is never banned.")] = None,
    timezone: Zone = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> None:
    """Tell who would have been banned by old logs, when and why. What no option says is as it is set."""
    options = {
        "maxretry": maxretry,
        "findtime": findtime,
        "bantime": bantime,
        "unproven_bantime": unproven_bantime,
        "ignoreip": ignoreip,
        "asterisk_timezone": timezone,
    }
    settings = policy(options, files, env_file)
    from amiguard.replay.main import replay as run_replay

    if not run_replay(files, settings, complain, ami=ami, json=json):
        raise typer.Exit(NO)


def explain(
    line: Annotated[str, typer.Argument(metavar="LINE", help="A line of Asterisk's log; - = from standard input.")],
    *,
    ami: Annotated[bool, typer.Option("--ami", help="It is an event of the manager interface.")] = False,
    timezone: Zone = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> None:
    """Tell what amiguard makes of a log line, and why. Fails when no rule reads it."""
    settings = policy({"asterisk_timezone": timezone}, [Path("-")], env_file)
    from amiguard.replay.explaining import explain as run_explain

    if not run_explain(line, settings, ami=ami, json=json):
        raise typer.Exit(NO)


def policy(options: Mapping[str, str | None], logs: Sequence[Path], env_file: Path | None) -> Settings:
    """Return the settings that decide who is banned, the options first, or end with a line for each that is wrong."""
    from amiguard.settings import load_policy

    try:
        return load_policy({name: text for name, text in options.items() if text is not None}, logs, env_file)
    except SettingsError as error:
        wrong(error)
