"""The other nodes, as the daemon sees them: over the control socket."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from amiguard.cli.asking import Socket, asked, client
from amiguard.cli.speaking import NO, EnvFile, Json, as_json, complain


def fleet(
    what: Annotated[Literal["status"], typer.Argument(metavar="status", help="How it goes, and who is there.")],  # noqa: ARG001 -- the only word yet
    *,
    socket: Socket = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> None:
    """Tell whether Redis answers, what waits for it, and which nodes are there. Fails when it does not answer."""
    told = asked(client(socket, env_file).status())["fleet"]
    if json:
        as_json(told)
    elif told is None:
        complain("this node is alone: AMIGUARD_REDIS_URL is empty")
    else:
        from amiguard.control import display

        nodes = told.pop("nodes")
        display.show(("", ""), display.status_rows(told))
        display.show(display.NODES, [display.node_row(one) for one in nodes])
    if told is None or not told["up"]:
        raise typer.Exit(NO)
