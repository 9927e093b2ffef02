"""Who is never banned, and to change that: over the control socket."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amiguard.cli.asking import Socket, asked, client
from amiguard.cli.many import ANY, From, done, targets_of
from amiguard.cli.speaking import EnvFile, Json, as_json, say
from amiguard.model import Target

if TYPE_CHECKING:
    from amiguard.control.client import ControlClient


def allow(
    address: Annotated[str | None, typer.Argument(metavar="[ADDRESS]", help=f"{ANY} Without one, list them.")] = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take it back: it may be banned again.")] = False,
    comment: Annotated[str, typer.Option("--comment", help="Why, for the list.")] = "",
    file: From = None,
    socket: Socket = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> None:
    """Never ban an address, a network or many, over restarts too, and lift their bans; or list who is never banned."""
    to = client(socket, env_file)
    if address is None and file is None:
        if remove or comment:
            raise typer.BadParameter("give an ADDRESS or --file")
        allowed = asked(to.allowed())
        if json:
            as_json(allowed)
        elif allowed:
            from amiguard.control import display

            display.show(display.ALLOWED, [display.allowed_row(one) for one in allowed])
        return
    targets = targets_of(address, file)

    def tell(answer: dict[str, Any]) -> None:
        if remove:
            say(f"{answer['address']} may be banned again")
            return
        lifted = answer["lifted"]
        bans = f"; {len(lifted)} bans are lifted" if len(lifted) > 1 else ""
        bans = f"; its ban of {lifted[0]['address']} is lifted" if len(lifted) == 1 else bans
        say(f"{answer['address']} is never banned{bans}")

    def act(to: ControlClient, target: Target) -> Awaitable[dict[str, Any]]:
        return to.disallow(target) if remove else to.allow(target, comment)

    several = "taken back" if remove else "allowed"
    done(targets, to, act, tell, json=json, many=several if address in {None, "-"} else "")
