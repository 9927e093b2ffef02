"""The command line. Exit codes: 0 ok, 1 the answer is no or it failed, 2 usage or settings, 3 no daemon to talk to.

What a command needs is imported inside it: `amiguard version` need not wait for aiohttp."""

from __future__ import annotations

from typing import Annotated

import typer

from amiguard.cli import bans, exempting, fleet, life, looking_back, migrating, watching

app = typer.Typer(
    name="amiguard",
    help="Bans the attackers of an Asterisk server in the kernel.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def tell_version(asked: bool) -> None:
    """As `amiguard version`."""
    if asked:
        life.version()
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=tell_version, help="Tell the version.")
    ] = False,
) -> None:
    """What stands before a command."""


for command in (
    life.run,
    life.check,
    life.version,
    life.demo,
    looking_back.replay,
    looking_back.explain,
    watching.status,
    bans.banned,
    bans.ban,
    bans.unban,
    exempting.allow,
    watching.show,
    watching.tail,
    watching.reload,
    fleet.fleet,
):
    app.command()(command)
app.command()(migrating.import_fail2ban)
