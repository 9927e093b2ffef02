"""Every parser of what others write: any bytes are read or refused, in the way that fuzzing demands too."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from dns.asyncresolver import Resolver
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from amiguard.errors import ResolverError
from amiguard.migration.fail2ban import PERMANENT, read_bans
from amiguard.model import parse_address, parse_target
from amiguard.surroundings import dns
from amiguard.web import wait_of
from tests.fuzz.corpus import seeds
from tests.fuzz.targets import NOW, TARGETS

TOKENS = (
    b"\r\n\r\n",
    b"\n",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"-1",
    b"1e999",
    b"\0",
    b"\xff",
    b"'",
)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
CELLS = (
    st.none()
    | NUMBERS
    | st.floats()
    | st.text(max_size=40)
    | st.binary(max_size=20)
    | st.sampled_from(["192.0.2.1", -1])
)


@st.composite
def spoilt(draw: st.DrawFn, name: str) -> bytes:
    """A seed in which some pieces were replaced."""
    data = draw(st.sampled_from(seeds(name)))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        data = data[:start] + draw(st.sampled_from(TOKENS) | st.binary(max_size=8)) + data[end:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_is_read_is_taken_or_refused(name: str) -> None:
    @settings(max_examples=60)
    @given(spoilt(name) | st.binary(max_size=200))
    def hold(data: bytes) -> None:
        TARGETS[name](data)

    hold()


@settings(max_examples=60)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), max_size=5))
def test_whatever_stands_in_fail2ban_s_database_is_a_running_ban_of_an_address_or_left_out(
    rows: list[tuple[object, ...]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "fail2ban.sqlite3"
        with closing(sqlite3.connect(database)) as made:
            made.execute("CREATE TABLE bips (ip, jail, timeofban, bantime, bancount, data)")
            made.executemany("INSERT INTO bips VALUES (?, ?, ?, ?, 1, '{}')", rows)
            made.commit()
        found = read_bans(database, NOW // 1000)

    assert len(found.bans) + found.unusable <= len(rows)
    for ban in found.bans:
        assert parse_target(ban.target) == ban.target
        assert ban.left is None or ban.left > 0
    assert all(ban.left is not None for ban in found.bans) or any(PERMANENT in row for row in rows)


@given(st.text(max_size=30) | st.integers().map(str))
def test_whatever_a_server_answers_the_wait_is_bounded(retry_after: str) -> None:
    assert 0 <= wait_of(retry_after, 60) <= 60


class Liar(asyncio.DatagramProtocol):
    """Answers each question with its number, and then what it likes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.transport: asyncio.DatagramTransport

    @override
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # what it is for UDP
        self.transport = transport

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data[:2] + self.answer, addr)
        self.transport.sendto(data[:2] + b"\x81\x80" + data[4:] + self.answer, addr)


@asynccontextmanager
async def lying(answer: bytes) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Liar(answer), local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@settings(max_examples=40)
@given(answer=st.binary(max_size=120))
async def test_whatever_a_dns_server_answers_it_names_addresses_or_is_no_answer(answer: bytes) -> None:
    async with lying(answer) as port:

        def resolver() -> Resolver:
            made = Resolver(configure=False)
            made.nameservers, made.port, made.timeout = ["127.0.0.1"], port, 0.02
            return made

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dns, "Resolver", resolver)
            patch.setattr(dns, "PATIENCE", 0.02)
            try:
                told = await dns.look_up("pbx.example.org", 4)
            except ResolverError:
                return
    assert all(parse_address(one) == one for one in told.addresses)
