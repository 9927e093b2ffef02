"""Names are followed: by their TTL, through dead and broken servers, and never for more addresses than is sane."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from dns.asyncresolver import Resolver

from amiguard.errors import ResolverError
from amiguard.journal import Action
from amiguard.model import Address, parse_address
from amiguard.surroundings import dns as edge
from amiguard.surroundings.dns import SIP_SERVICES, Answer, look_up
from amiguard.surroundings.names import ADDRESSES_A_NAME, Names
from tests.lab.dnsserver import Zone, serving
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until

NAME = "pbx.example.org"


@pytest.fixture
async def zone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Zone]:
    """A server that is the only one that names are asked of; its files take the place of those in /etc."""
    zone = Zone()
    async with serving(zone, port=0) as port:
        conf = tmp_path / "resolv.conf"
        conf.write_text("nameserver 127.0.0.1\n")

        monkeypatch.setattr(edge, "HOSTS", tmp_path / "hosts")
        monkeypatch.setattr(edge, "Resolver", lambda: _at(Resolver(str(conf)), port))
        yield zone


def _at(resolver: Resolver, port: int) -> Resolver:
    resolver.port = port
    return resolver


class Followed:
    """What is told of names."""

    def __init__(self) -> None:
        self.journal = RecordingJournal()
        self.told: list[tuple[str, set[str]]] = []
        self.now: dict[str, set[str]] = {}
        self.names = Names(look_up, self._tell, self.journal, refresh=(0.02, 0.05), retry=(0.01, 0.02))

    def _tell(self, name: str, addresses: frozenset[Address]) -> None:
        self.told.append((name, set(addresses)))
        self.now[name] = set(addresses)


@asynccontextmanager
async def following(*names: str) -> AsyncIterator[Followed]:
    followed = Followed()
    followed.names.follow(names)
    task = asyncio.create_task(followed.names.run())
    try:
        yield followed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_name_stands_for_its_addresses_of_both_versions_and_a_change_is_told_once(zone: Zone) -> None:
    zone.records = {(NAME, "A"): ["192.0.2.1", "192.0.2.2"], (NAME, "AAAA"): ["2001:db8::1"]}
    async with following(NAME) as followed:
        await until(lambda: followed.now.get(NAME) == {"192.0.2.1", "192.0.2.2", "2001:db8::1"})
        zone.records = {(NAME, "A"): ["192.0.2.3"]}
        await until(lambda: followed.now[NAME] == {"192.0.2.3"})
        asked = zone.asked[NAME, "A"]
        await until(lambda: zone.asked[NAME, "A"] > asked + 2)

        assert len(followed.told) == 2
        assert followed.journal.lines == []


@pytest.mark.parametrize("fault", ["dead", "broken", "gone", "empty"])
async def test_the_last_good_answer_holds_while_dns_is_dead_or_answers_nothing(
    zone: Zone, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone.records = {(NAME, "A"): ["192.0.2.1"]}
    async with following(NAME) as followed:
        await until(lambda: followed.now.get(NAME) == {"192.0.2.1"})
        if fault == "dead":
            monkeypatch.setattr(edge, "PATIENCE", 0.2)
            zone.dead = True
        elif fault == "broken":
            zone.broken = {(NAME, "A"), (NAME, "AAAA")}
        else:
            zone.records = {(NAME, "TXT"): ["x"]} if fault == "empty" else {}
        await until(lambda: followed.journal.count(Action.NAME_FAILED) == 1)
        asked = zone.asked[NAME, "A"]
        if fault != "dead":
            await until(lambda: zone.asked[NAME, "A"] > asked + 2)
        assert followed.now[NAME] == {"192.0.2.1"}

        monkeypatch.setattr(edge, "PATIENCE", 5.0)
        zone.dead, zone.broken, zone.records = False, set(), {(NAME, "A"): ["192.0.2.9"]}
        await until(lambda: followed.now[NAME] == {"192.0.2.9"})
        assert [line.action for line in followed.journal.lines] == [Action.NAME_FAILED, Action.NAME_RECOVERED]


async def test_one_version_that_fails_keeps_its_addresses_while_the_other_moves_on(zone: Zone) -> None:
    zone.records = {(NAME, "A"): ["192.0.2.1"], (NAME, "AAAA"): ["2001:db8::1"]}
    async with following(NAME) as followed:
        await until(lambda: followed.now.get(NAME) == {"192.0.2.1", "2001:db8::1"})
        zone.broken = {(NAME, "AAAA")}
        zone.records[NAME, "A"] = ["192.0.2.2"]
        await until(lambda: followed.now[NAME] == {"192.0.2.2", "2001:db8::1"})


async def test_a_name_is_asked_for_again_when_its_ttl_is_over_and_never_more_often_than_is_allowed(zone: Zone) -> None:
    zone.records = {(NAME, "A"): ["192.0.2.1"]}
    zone.ttl = 0
    async with following(NAME):
        await until(lambda: zone.asked[NAME, "A"] > 0)
        start, before = time.monotonic(), zone.asked[NAME, "A"]
        await until(lambda: zone.asked[NAME, "A"] >= before + 10)
        assert time.monotonic() - start >= 10 * 0.02
    zone.ttl = 86_400
    async with following(NAME):
        before = zone.asked[NAME, "A"]
        await until(lambda: zone.asked[NAME, "A"] > before + 3)


async def test_who_answers_for_a_name_can_not_allow_any_number_of_addresses(zone: Zone) -> None:
    zone.records = {(NAME, "AAAA"): [f"2001:db8::{number:x}" for number in range(100)]}
    async with following(NAME) as followed:
        await until(lambda: len(followed.now.get(NAME, ())) == ADDRESSES_A_NAME)
        (line, *_) = followed.journal.of(Action.OVERLOAD)
        assert line.fields["left_out"] == 100 - ADDRESSES_A_NAME


async def test_names_come_and_go(zone: Zone) -> None:
    zone.records = {(NAME, "A"): ["192.0.2.1"], ("two.example.org", "A"): ["192.0.2.2"]}
    async with following(NAME) as followed:
        await until(lambda: NAME in followed.now)
        followed.names.follow(["two.example.org"])
        await until(lambda: followed.now == {NAME: set(), "two.example.org": {"192.0.2.2"}})


async def test_a_host_that_stands_in_the_hosts_file_is_not_asked_for(zone: Zone) -> None:
    edge.HOSTS.write_text(
        "# pbx\n192.0.2.7 PBX.example.org pbx # the old one\nnonsense pbx.example.org\n::1 localhost\n"
    )

    assert await look_up("pbx.example.org", 4) == Answer(frozenset({parse_address("192.0.2.7")}), edge.HOSTS_TTL)
    assert await look_up("pbx.example.org", 6) == Answer(frozenset(), edge.HOSTS_TTL)
    assert not zone.asked


async def test_a_trunks_name_stands_for_the_hosts_of_its_sip_service_too(zone: Zone) -> None:
    zone.records = {
        ("example.org", "A"): ["192.0.2.1"],
        ("_sip._udp.example.org", "SRV"): ["1 1 5060 a.example.org.", "2 1 5060 b.example.org."],
        ("_sips._tcp.example.org", "SRV"): ["0 0 0 ."],
        ("a.example.org", "A"): ["192.0.2.2"],
        ("b.example.org", "A"): ["192.0.2.3"],
    }
    trunk = partial(look_up, services=SIP_SERVICES)
    assert (await trunk("example.org", 4)).addresses == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}


async def test_without_a_server_it_is_said_that_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("options edns0\n")
    monkeypatch.setattr(edge, "Resolver", lambda: Resolver(str(conf)))
    with pytest.raises(ResolverError):
        await look_up(NAME, 4)
