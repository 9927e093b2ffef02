"""The daemon itself: run it, try what it needs, show what it does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amiguard import __version__
from amiguard.cli.speaking import NO, EnvFile, Json, as_json, complain, say, wrong
from amiguard.cli.starting import start
from amiguard.errors import SettingsError

if TYPE_CHECKING:
    from amiguard.settings import Settings


def run(env_file: EnvFile = None) -> None:
    """Protect this server until a signal says stop."""
    raise typer.Exit(start(env_file))


def check(
    env_file: EnvFile = None,
    asterisk_etc: Annotated[
        Path, typer.Option("--asterisk-etc", metavar="DIR", help="Where Asterisk's manager.conf and logger.conf are.")
    ] = Path("/etc/asterisk"),
    json: Json = False,
) -> None:
    """Try the settings, Asterisk, the firewall, the database and the mail server; name what to change in Asterisk."""
    settings = loaded(env_file)
    if not asyncio.run(tried(settings, asterisk_etc, json=json)):
        raise typer.Exit(NO)


def version(json: Json = False) -> None:
    """Tell the version."""
    if json:
        as_json({"version": __version__})
    else:
        typer.echo(f"amiguard {__version__}")


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


def loaded(env_file: Path | None) -> Settings:
    """Return the settings, or end with a line for each that is wrong."""
    from amiguard.settings import load

    try:
        return load(env_file)
    except SettingsError as error:
        wrong(error)


async def tried(settings: Settings, etc: Path, *, json: bool) -> bool:
    """Show what `check` finds as it comes; return whether all is well."""
    from amiguard.check import check as findings

    well = True
    async for finding in findings(settings, etc):
        well = well and finding.ok
        if json:
            as_json({"name": finding.name, "ok": finding.ok, "text": finding.text})
        else:
            say(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name:8}  {finding.text}")
    return well
