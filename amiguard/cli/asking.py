"""Asks the daemon over its control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from amiguard.cli.speaking import NO, UNREACHABLE, complain, wrong
from amiguard.errors import ControlError, InvalidAddress, SettingsError
from amiguard.model import Target, parse_target

if TYPE_CHECKING:
    from amiguard.control.client import ControlClient

T = TypeVar("T")

COMPLETED = 50
"""Addresses that the shell's completion offers."""

Socket = Annotated[
    Path | None, typer.Option("--socket", help="The daemon's control socket.", show_default="AMIGUARD_CONTROL_SOCKET")
]


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


def banned_now(incomplete: str) -> list[str]:
    """Return who is banned and begins like this, for the shell's completion; nobody where that can't be told."""
    from amiguard.control.client import ControlClient
    from amiguard.settings import control_socket

    async def some() -> list[str]:
        found = []
        async for ban in ControlClient(control_socket()).bans():
            if ban["address"].startswith(incomplete):
                found.append(ban["address"])
            if len(found) == COMPLETED:
                break
        return found

    try:
        return asyncio.run(some())
    except (ControlError, SettingsError):
        return []


def target_of(text: str) -> Target:
    """Return an argument as a target, or complain about it as wrong usage."""
    try:
        return parse_target(text)
    except InvalidAddress as error:
        raise typer.BadParameter(str(error)) from None
