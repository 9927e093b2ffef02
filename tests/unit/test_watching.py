"""What is watched follows the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any
from unittest.mock import patch

import pytest
from pydantic import SecretStr

from amiguard.model import Address, AllowOrigin, Target
from amiguard.settings import Settings
from amiguard.surroundings import dns, host
from amiguard.surroundings.dns import Answer
from amiguard.watching import Trunks, Watching, names_of, servers_of
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
    before = ["of.yesterday.example.org"]

    def tell(origin: AllowOrigin, comment: str, targets: Collection[Target]) -> None:
        now[origin, comment] = set(targets)
        history.append((comment, set(targets)))

    async def look() -> dict[str, frozenset[Any]]:
        return {"own address": frozenset({"192.0.2.2"}), "gateway": frozenset({"192.0.2.1"})}

    monkeypatch.setattr(host, "look", look)
    watched = Watching(settings(ami_host="192.0.2.5"), tell, RecordingJournal(), before.copy)
    task = asyncio.create_task(watched.run())
    try:
        own, ami = (AllowOrigin.SELF, "own address"), (AllowOrigin.SELF, "AMI server 192.0.2.5")
        await until(lambda: own in now)
        assert now[ami] == {"192.0.2.5"}
        assert now[AllowOrigin.NAME, "of.yesterday.example.org"] == set()
        watched.reconfigure(settings(ami_host="192.0.2.6"))
        await until(lambda: not now[ami])
        assert ("own address", set()) not in history
        before.append("of.last.week.example.org")
        watched.look_again()
        await until(lambda: (AllowOrigin.NAME, "of.last.week.example.org") in now)
        watched.reconfigure(settings(ami_host="192.0.2.6", ignoreself=False))
        await until(lambda: not any(now.values()))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_trunks_are_told_by_address_at_once_and_by_name_when_it_is_resolved() -> None:
    told: dict[str, set[str]] = {}

    def tell(host: str, addresses: Collection[Address]) -> None:
        told[host] = set(addresses)

    async def look_up(name: str, version: int, services: Sequence[str]) -> Answer:
        assert services == dns.SIP_SERVICES
        return Answer(frozenset([Address(Target("192.0.2.9"))] if version == 4 else []), 60)

    journal = RecordingJournal()
    trunks = Trunks(tell, journal)
    trunks.follow(frozenset({"192.0.2.1", "2001:db8::1"}))
    assert told == {"192.0.2.1": {"192.0.2.1"}, "2001:db8::1": {"2001:db8::1"}}
    with patch.object(dns, "look_up", look_up):
        task = asyncio.create_task(trunks.run())
        try:
            trunks.follow(frozenset({"192.0.2.1", "sip.example.org"}))
            await until(lambda: told.get("sip.example.org") == {"192.0.2.9"})
            trunks.follow(frozenset())
            await until(lambda: not any(told.values()))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert [line.message for line in journal.lines][-1].endswith("nobody any more")
    assert len(journal.lines) == 6
