"""The command line. Exit codes: 0 ok, 1 the answer is no or it failed, 2 usage or settings, 3 no daemon to talk to.

What a command needs is imported inside it: `amiguard version` need not wait for aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from amiguard import __version__
from amiguard.cli import looking_back
from amiguard.cli.speaking import NO, UNREACHABLE, EnvFile, Json, as_json, complain, say, wrong
from amiguard.errors import AmiguardError, ControlError, InvalidAddress, SettingsError
from amiguard.model import Target, parse_target

if TYPE_CHECKING:
    from amiguard.control.client import ControlClient
    from amiguard.settings import Settings

T = TypeVar("T")

Socket = Annotated[
    Path | None, typer.Option("--socket", help="The daemon's control socket.", show_default="AMIGUARD_CONTROL_SOCKET")
]
SomeTarget = Annotated[str, typer.Argument(metavar="ADDRESS", help="An address, or a network such as 192.0.2.0/24.")]

app = typer.Typer(
    name="amiguard",
    help="Bans the attackers of an Asterisk server in the kernel.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command that the arguments name."""
    app(prog_name="amiguard")


# -- the daemon -------------------------------------------------------------------------------------------------------


@app.command()
def run(env_file: EnvFile = None) -> None:
    """Protect this server until a signal says stop."""
    settings = loaded(env_file)
    from amiguard.daemon import run as run_daemon

    raise typer.Exit(run_daemon(settings))


@app.command()
def check(env_file: EnvFile = None, json: Json = False) -> None:
    """Try the settings, Asterisk, the firewall, the database and the mail server."""
    settings = loaded(env_file)
    if not asyncio.run(tried(settings, json=json)):
        raise typer.Exit(NO)


@app.command()
def version(json: Json = False) -> None:
    """Tell the version."""
    if json:
        as_json({"version": __version__})
    else:
        typer.echo(f"amiguard {__version__}")


@app.command()
def demo(
    *,
    asterisk: Annotated[
        bool, typer.Option("--asterisk", help="Attack this machine's Asterisk, not a stand-in.")
    ] = False,
    asterisk_root: Annotated[
        Path | None, typer.Option("--asterisk-root", metavar="DIR", help="Attack the Asterisk of this chroot.")
    ] = None,
) -> None:
    """Show an attack and what becomes of it, in private network namespaces (as root)."""
    try:
        from amiguard.demo.main import run as run_demo
    except ModuleNotFoundError as error:
        if error.name != "aiosmtpd":
            raise
        complain("the demo's mail server is missing: pip install 'amiguard[demo]'")
        raise typer.Exit(NO) from None
    raise typer.Exit(run_demo(asterisk_root or (Path("/") if asterisk else None)))


app.command()(looking_back.replay)
app.command()(looking_back.explain)


# -- over the control socket ------------------------------------------------------------------------------------------


@app.command()
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


@app.command()
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

        display.show(display.BANS, [display.ban_row(ban) for ban in bans])
    elif target is not None:
        say(f"{target} is not banned")
    if target is not None and not bans:
        raise typer.Exit(NO)


@app.command()
def ban(
    address: SomeTarget,
    *,
    time: Annotated[
        str | None, typer.Option("--time", help="1h, 5d, ...; -1 = for ever.", show_default="BANTIME")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the log.")] = "",
    socket: Socket = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> None:
    """Ban an address or a network."""
    target, seconds = target_of(address), None if time is None else seconds_of(time)
    answer = asked(client(socket, env_file).ban(target, seconds, reason))
    if json:
        as_json(answer)
    else:
        until = answer["until"]
        say(f"{answer['address']} is banned {'for ever' if until is None else f'until {until}'}")


@app.command()
def unban(
    address: Annotated[str | None, typer.Argument(metavar="[ADDRESS]", help="An address or a network.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Lift every ban.")] = False,
    socket: Socket = None,
    env_file: EnvFile = None,
    json: Json = False,
) -> None:
    """Lift a ban, or all of them."""
    if (address is None) is not everybody:
        raise typer.BadParameter("give an ADDRESS or --all")
    if address is None:
        count = asked(client(socket, env_file).unban_all())
        as_json({"unbanned": count}) if json else say(f"bans lifted: {count}")
        return
    answer = asked(client(socket, env_file).unban(target_of(address)))
    as_json(answer) if json else say(f"{answer['address']} is no longer banned")


# ---------------------------------------------------------------------------------------------------------------------


def loaded(env_file: Path | None) -> Settings:
    """Return the settings, or end with a line for each that is wrong."""
    from amiguard.settings import load

    try:
        return load(env_file)
    except SettingsError as error:
        wrong(error)


def client(socket: Path | None, env_file: Path | None) -> ControlClient:
    """Return a client for the socket that is given, or set; no other setting needs to be valid."""
    from amiguard.control.client import ControlClient

    if socket is None:
        from amiguard.settings import control_socket

        try:
            socket = control_socket(env_file)
        except SettingsError as error:
            wrong(error)
    return ControlClient(socket)


def asked(question: Coroutine[Any, Any, T]) -> T:
    """Return the daemon's answer, or end with what went wrong."""
    from amiguard.control.client import RequestRefused

    try:
        return asyncio.run(question)
    except RequestRefused as error:
        complain(str(error))
        raise typer.Exit(NO) from None
    except ControlError as error:
        complain(str(error))
        raise typer.Exit(UNREACHABLE) from None


async def listed(client: ControlClient, target: Target | None) -> list[dict[str, Any]]:
    """Return the bans, the newest last."""
    return sorted([ban async for ban in client.bans(target)], key=lambda ban: (ban["since"], ban["address"]))


async def tried(settings: Settings, *, json: bool) -> bool:
    """Show what `check` finds as it comes; return whether all is well."""
    from amiguard.check import check as findings

    well = True
    async for finding in findings(settings):
        well = well and finding.ok
        if json:
            as_json({"name": finding.name, "ok": finding.ok, "text": finding.text})
        else:
            say(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name:8}  {finding.text}")
    return well


def target_of(text: str) -> Target:
    """Return an argument as a target, or complain about it as wrong usage."""
    try:
        return parse_target(text)
    except InvalidAddress as error:
        raise typer.BadParameter(str(error)) from None


def seconds_of(text: str) -> int:
    """Return a time that an option gives, in seconds; -1 = permanent."""
    from amiguard.settings.durations import parse_bantime

    try:
        milliseconds = parse_bantime(text)
    except AmiguardError as error:
        raise typer.BadParameter(str(error)) from None
    return -1 if milliseconds is None else milliseconds // 1000
