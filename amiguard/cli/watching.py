"""How the daemon is, what it knows, and what it does: over the control socket."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amiguard.cli.asking import Socket, asked, banned_now, client, target_of
from amiguard.cli.speaking import NO, UNREACHABLE, EnvFile, Json, as_json, complain, say
from amiguard.model import Address

if TYPE_CHECKING:
    from amiguard.control.client import ControlClient

COMMON = {
    *("ecs.version", "service.name", "host.name", "log.level"),
    *("event.action", "event.kind", "event.category", "event.type"),
}
"""Fields of a line that tell nothing new to whoever watches one daemon."""


def status(socket: Socket = None, env_file: EnvFile = None, json: Json = False) -> None:
    """Tell how the daemon is. Fails when it does not protect now."""
    answer = asked(client(socket, env_file).status())
    if json:
        as_json(answer)
    else:
        from amiguard.control import display

        display.show(("", ""), display.status_rows(answer))
    if not answer.get("ready"):
        raise typer.Exit(NO)


def show(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="One address.", autocompletion=banned_now)],
    socket: Socket = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> None:
    """Tell everything that is known of an address: bans, failures, evidence, and why."""
    target = target_of(address)
    if "/" in target:
        raise typer.BadParameter("give one address, no network")
    answer = asked(client(socket, env_file).offender(Address(target)))
    if json:
        as_json(answer)
    else:
        from amiguard.control import display

        display.show(("", ""), display.status_rows(answer))


def reload(socket: Socket = None, env_file: EnvFile = None, json: Json = False) -> None:
    """Let the daemon read its settings anew; if one is wrong, the old ones stay, and this fails."""
    changed = asked(client(socket, env_file).reload())
    if json:
        as_json({"changed": changed})
    else:
        say(f"changed: {', '.join(changed)}" if changed else "nothing has changed")


def tail(socket: Socket = None, env_file: EnvFile = None, json: Json = False) -> None:
    """Tell what happens as it happens, after the last few lines: in colour on a terminal, else as JSON lines."""
    with suppress(KeyboardInterrupt):
        asked(told(client(socket, env_file), json=json or not sys.stdout.isatty()))
        complain("the daemon has ended")
        raise typer.Exit(UNREACHABLE)


async def told(to: ControlClient, *, json: bool) -> None:
    """Write each event until the daemon ends."""
    from amiguard.logs.console import console_line

    async for event in to.events():
        if event.kind == "lost":
            complain(f"{event.data['lost']} lines are missing here")
        elif json:
            as_json(event.data)
            sys.stdout.flush()
        else:
            line: dict[str, Any] = {name: value for name, value in event.data.items() if name not in COMMON}
            sys.stdout.write(
                f"{console_line(event.data['log.level'], event.data['event.action'], line, colors=True)}\n"
            )
