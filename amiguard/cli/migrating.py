"""`amiguard import-fail2ban`."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amiguard.cli.asking import Socket, asked, client
from amiguard.cli.speaking import NO, EnvFile, Json, as_json, complain, say
from amiguard.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from amiguard.migration.fail2ban import Jailed

OURS = "asterisk"
"""What the name of a jail contains that guards Asterisk, where none is chosen."""


def import_fail2ban(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="fail2ban's database.")] = Path(
        "/var/lib/fail2ban/fail2ban.sqlite3"
    ),
    *,
    jail: Annotated[
        list[str] | None,
        typer.Option("--jail", metavar="NAME", help="Of this jail; may be repeated.", show_default="*asterisk*"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show whom.")] = False,
    socket: Socket = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> None:
    """Ban whom fail2ban has banned, for the time that is left."""
    from amiguard.migration.fail2ban import read_bans
    from amiguard.migration.importing import longest

    try:
        found = read_bans(file, int(time.time()))
    except MigrationError as error:
        complain(str(error))
        raise typer.Exit(NO) from None
    chosen = [ban for ban in found.bans if (ban.jail in jail if jail else OURS in ban.jail.lower())]
    if not chosen and found.bans:
        jails = Counter(ban.jail for ban in found.bans)
        complain(f"no ban in these jails; there are {', '.join(f'{count} in {name}' for name, count in jails.items())}")
        raise typer.Exit(NO)
    if found.unusable:
        complain(f"{found.unusable} of all bans are of no address and are left out")
    bans = longest(chosen)
    if dry_run:
        show(bans, json=json)
    else:
        carried(bans, socket, env_file, json=json)


def show(bans: Sequence[Jailed], *, json: bool) -> None:
    """Tell of each ban that would be carried over."""
    for ban in bans:
        if json:
            as_json({"address": ban.target, "jail": ban.jail, "left": -1 if ban.left is None else ban.left})
        else:
            say(f"{ban.target}  {ban.jail}  {'for ever' if ban.left is None else f'{ban.left} s left'}")


def carried(bans: Sequence[Jailed], socket: Path | None, env_file: Path | None, *, json: bool) -> None:
    """Carry the bans over, and tell what became of them."""
    from amiguard.migration.importing import Outcome, carry_over
    from amiguard.migration.progress import counting

    with counting(len(bans)) as advance:
        outcomes = asked(carry_over(client(socket, env_file), bans, lambda *_: advance()))
    counts = {outcome.value: outcomes[outcome] for outcome in Outcome}
    if json:
        as_json(counts)
    else:
        say(f"{counts['banned']} banned, {counts['known']} were banned already, {counts['allowed']} are never banned")
