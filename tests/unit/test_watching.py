"""What is watched follows the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest
from pydantic import SecretStr

from amiguard.model import AllowOrigin, Target
from amiguard.settings import Settings
from amiguard.surroundings import host
from amiguard.watching import Watching, names_of, servers_of
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until


def settings(**given: Any) -> Settings:
    return Settings(**{"ami_username": "u", "ami_secret": SecretStr("s"), "ignoreip": (), **given})


def test_names_and_the_servers_in_use_are_watched() -> None:
    given = settings(
        ignoreip=("192.0.2.1", "office.example.org"),
        ami_host="pbx",
        mail_to=("a@example.org",),
        smtp_host="192.0.2.25",
        webhook_url=SecretStr("https://hook.example.org/a-token"),
    )

    assert names_of(given) == {
        "office.example.org": [(AllowOrigin.NAME, "office.example.org")],
        "pbx": [(AllowOrigin.SELF, "AMI server pbx")],
        "hook.example.org": [(AllowOrigin.SELF, "webhook server hook.example.org")],
    }
    assert servers_of(given) == {(AllowOrigin.SELF, "mail server 192.0.2.25"): "192.0.2.25"}


def test_this_host_itself_needs_no_dns() -> None:
    assert names_of(settings(ami_host="localhost", mail_to=("a@example.org",))) == {}


def test_without_ignoreself_only_names_are_watched() -> None:
    given = settings(ignoreip=("pbx",), ami_host="pbx", ignoreself=False)

    assert names_of(given) == {"pbx": [(AllowOrigin.NAME, "pbx")]}
    assert servers_of(given) == {}


async def test_a_reload_takes_back_what_is_no_longer_wanted_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    now: dict[tuple[AllowOrigin, str], set[Target]] = {}
    history = []

    def tell(origin: AllowOrigin, comment: str, targets: Collection[Target]) -> None:
        now[origin, comment] = set(targets)
        history.append((comment, set(targets)))

    async def look() -> dict[str, frozenset[Any]]:
        return {"own address": frozenset({"192.0.2.2"}), "gateway": frozenset({"192.0.2.1"})}

    monkeypatch.setattr(host, "look", look)
    watched = Watching(settings(ami_host="192.0.2.5"), tell, RecordingJournal())
    task = asyncio.create_task(watched.run())
    try:
        own, ami = (AllowOrigin.SELF, "own address"), (AllowOrigin.SELF, "AMI server 192.0.2.5")
        await until(lambda: own in now)
        assert now[ami] == {"192.0.2.5"}
        watched.reconfigure(settings(ami_host="192.0.2.6"))
        await until(lambda: not now[ami])
        assert ("own address", set()) not in history
        watched.reconfigure(settings(ami_host="192.0.2.6", ignoreself=False))
        await until(lambda: not any(now.values()))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
