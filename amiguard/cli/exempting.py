"""Who is never banned, and to change that: over the control socket."""

from __future__ import annotations

from typing import Annotated

import typer

from amiguard.cli.asking import Socket, asked, client, target_of
from amiguard.cli.speaking import EnvFile, Json, as_json, say


def allow(
    address: Annotated[
        str | None, typer.Argument(metavar="[ADDRESS]", help="An address or a network; without one, list them.")
    ] = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take it back: it may be banned again.")] = False,
    comment: Annotated[str, typer.Option("--comment", help="Why, for the list.")] = "",
    socket: Socket = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> None:
    """Never ban an address or a network, over restarts too, and lift its bans; or list who is never banned."""
    to = client(socket, env_file)
    if address is None:
        if remove or comment:
            raise typer.BadParameter("give an ADDRESS")
        allowed = asked(to.allowed())
        if json:
            as_json(allowed)
        elif allowed:
            from amiguard.control import display

            display.show(display.ALLOWED, [display.allowed_row(one) for one in allowed])
        return
    target = target_of(address)
    answer = asked(to.disallow(target) if remove else to.allow(target, comment))
    if json:
        as_json(answer)
    elif remove:
        say(f"{answer['address']} may be banned again")
    else:
        lifted = "".join(f"; its ban of {ban['address']} is lifted" for ban in answer["lifted"])
        say(f"{answer['address']} is never banned{lifted}")
