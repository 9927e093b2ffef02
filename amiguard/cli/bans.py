"""Who is banned, and to change that: over the control socket."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amiguard.cli.asking import Socket, asked, banned_now, client, target_of
from amiguard.cli.many import ANY, From, done, targets_of
from amiguard.cli.speaking import NO, EnvFile, Json, as_json, say
from amiguard.errors import AmiguardError
from amiguard.model import Target

if TYPE_CHECKING:
    from amiguard.control.client import ControlClient


def banned(
    address: Annotated[str | None, typer.Argument(metavar="[ADDRESS]", help="Is this one banned?")] = None,
    socket: Socket = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> None:
    """List the bans, or tell whether an address is banned: fails when it is not."""
    target = None if address is None else target_of(address)
    bans = asked(listed(client(socket, env_file), target))
    if json:
        as_json(bans)
    elif bans:
        from amiguard.control import display

        display.show(*display.ban_rows(bans))
    elif target is not None:
        say(f"{target} is not banned")
    elif sys.stdout.isatty():
        say("nobody is banned")
    if target is not None and not bans:
        raise typer.Exit(NO)


def ban(
    address: Annotated[str | None, typer.Argument(metavar="[ADDRESS]", help=ANY)] = None,
    *,
    time: Annotated[
        str | None, typer.Option("--time", help="1h, 5d, ...; -1 = for ever.", show_default="BANTIME")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the log.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also who was allowed by `amiguard allow`, or a network of which some is.")
    ] = False,
    file: From = None,
    socket: Socket = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> None:
    """Ban an address or a network, or many."""
    seconds = None if time is None else seconds_of(time)
    targets = targets_of(address, file)

    def tell(answer: dict[str, Any]) -> None:
        until = answer["until"]
        say(f"{answer['address']} is banned {'for ever' if until is None else f'until {until}'}")

    def act(to: ControlClient, target: Target) -> Awaitable[dict[str, Any]]:
        return to.ban(target, seconds, reason, force=force)

    done(targets, client(socket, env_file), act, tell, json=json, many="banned" if address in {None, "-"} else "")


def unban(
    address: Annotated[str | None, typer.Argument(metavar="[ADDRESS]", help=ANY, autocompletion=banned_now)] = None,
    *,
    everybody: Annotated[bool, typer.Option("--all", help="Lift every ban.")] = False,
    file: From = None,
    socket: Socket = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> None:
    """Lift a ban, or many, or all of them."""
    if everybody:
        if address is not None or file is not None:
            raise typer.BadParameter("give an ADDRESS, --file or --all")
        count = asked(client(socket, env_file).unban_all())
        as_json({"unbanned": count}) if json else say(f"bans lifted: {count}")
        return
    targets = targets_of(address, file)

    def tell(answer: dict[str, Any]) -> None:
        say(f"{answer['address']} is no longer banned")

    def act(to: ControlClient, target: Target) -> Awaitable[dict[str, Any]]:
        return to.unban(target)

    done(targets, client(socket, env_file), act, tell, json=json, many="lifted" if address in {None, "-"} else "")


async def listed(client: ControlClient, target: Target | None) -> list[dict[str, Any]]:
    """Return the bans, the newest last."""
    return sorted([ban async for ban in client.bans(target)], key=lambda ban: (ban["since"], ban["address"]))


def seconds_of(text: str) -> int:
    """Return a time that an option gives, in seconds; -1 = permanent."""
    from amiguard.settings.durations import parse_bantime

    try:
        milliseconds = parse_bantime(text)
    except AmiguardError as error:
        raise typer.BadParameter(str(error)) from None
    return -1 if milliseconds is None else milliseconds // 1000
