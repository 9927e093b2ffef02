"""How the daemon is: over the control socket."""

from __future__ import annotations

import typer

from amiguard.cli.asking import Socket, asked, client
from amiguard.cli.speaking import NO, EnvFile, Json, as_json


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
