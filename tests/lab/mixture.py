"""A thousand attempts of every kind, each by an address of its own or by one that tries many things.

What only one log can know is a fact about Asterisk: see docs/security.md."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from tests.lab import iax, logins
from tests.lab.asterisk import SERVER4, SERVER6, Asterisk
from tests.lab.sip import Phone

WAYS = [
    ("10.99.150.1", "udp"),
    ("10.99.150.2", "tcp"),
    ("10.99.150.3", "tls"),
    ("10.99.150.4", "ws"),
    ("10.99.150.5", "wss"),
    ("fd99:1::51", "udp"),
    ("fd99:1::52", "tcp"),
    ("fd99:1::53", "tls"),
    ("fd99:1::54", "ws"),
    ("fd99:1::55", "wss"),
]
ALL_ROUNDERS = ("10.99.150.1", "fd99:1::51")
"""Addresses that also try IAX2 and the manager interface."""

GUESSES = {"pjsip": 35, "sip": 45}
"""Wrong passwords and unknown accounts, of each so many over each way."""
UNANSWERED = 20
LOGINS = 10
AT_ONCE = 20
"""Log-ins of one address at a time: each takes a second, and Asterisk refuses to serve more than fifty in all."""

LINE = "[2026-11-22 10:00:00] NOTICE[1] chan_sip.c: Registration from 'x' failed for '9.9.9.9:5060' - Wrong password"
TAIL = "x' failed for '9.9.9.9:5060' (callid: y) - No matching endpoint found"
EVENT = (
    "x\r\n\r\nEvent: InvalidPassword\r\nPrivilege: security,all\r\nSeverity: Error\r\nService: PJSIP\r\n"
    "RemoteAddress: IPV4/UDP/9.9.9.9/5060\r\n\r\nEvent: X"
)


async def mix(asterisk: Asterisk) -> AsyncIterator[Counter[str]]:
    """Make all the attempts that must count; yield after each part how many each address made in it."""
    for source, transport in WAYS:
        yield Counter({source: await guess(asterisk, source, transport)})
    made = await asyncio.gather(*(log_in(asterisk, source) for source in ALL_ROUNDERS))
    yield Counter(dict(zip(ALL_ROUNDERS, made, strict=True)))


async def guess(asterisk: Asterisk, source: str, transport: str) -> int:
    """Try wrong passwords, accounts that are not there, and one that may not be used from here, over SIP."""
    tried = 0
    async with asterisk.connect(source, transport) as connection:
        for number in range(GUESSES[asterisk.driver]):
            for user in ("6001", f"nobody{number}"):
                assert await Phone(connection, user, "wrong").register() in {401, 403}
                tried += 1
        assert await Phone(connection, "6003", "pw6003").register() in {401, 403}
        tried += 1
        if asterisk.driver == "pjsip":  # chan_sip is silent about who leaves his challenge unanswered
            for number in range(UNANSWERED):
                assert await Phone(connection, f"nobody{number}").register() == 401
                tried += 1
            guesser = Phone(connection, "6001", "wrong")
            for _ in range(LOGINS):  # all under one Call-ID, which chan_sip takes for one dialogue
                assert await guesser.register() == 401
                tried += 1
    return tried


async def log_in(asterisk: Asterisk, source: str) -> int:
    """Try to register over IAX2, and to log in to the manager interface, also over HTTP."""
    attackers, server = asterisk.attackers, server_of(source)
    for number in range(LOGINS):
        assert await iax.register(attackers, source, server, b"6101")
        assert await iax.register(attackers, source, server, b"nobody%d" % number)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(attempt: Awaitable[bytes]) -> None:
        async with places:
            assert b"Authentication failed" in await attempt

    attempts = [
        attempt
        for _ in range(LOGINS)
        for attempt in (
            logins.ami(attackers, source, server, b"secmon"),
            logins.ami(attackers, source, server, b"nobody"),
            logins.ami(attackers, source, server, b"aclonly", b"aclonly-secret"),
            logins.http(attackers, source, server, b"secmon"),
            logins.http(attackers, source, server, b"nobody"),
        )
    ]
    await asyncio.gather(*map(one, attempts))
    return 2 * LOGINS + len(attempts)


def server_of(source: str) -> str:
    """Return the server's address of the family of `source`."""
    return SERVER6 if ":" in source else SERVER4


@dataclass(frozen=True)
class Lie:
    """One attempt whose texts try to name the victim or to hide the sender. `attack` takes the sender's address."""

    name: str
    attack: Callable[[Asterisk, str], Awaitable[object]]
    hidden_from_json: bool = False
    """It holds a byte that is no UTF-8: neither AMI nor the JSON log ever tells of it."""
    forges_plain: bool = False
    """It puts a whole line into a plain log, which nothing tells from Asterisk's own."""


async def sip(asterisk: Asterisk, source: str, *, user: str = "6001", call_id: str = "", display: str = "") -> None:
    """Try to register over UDP; a sender who is banned meanwhile gets no answer."""
    once = secrets.token_hex(4) + call_id  # chan_sip takes a Call-ID that it knows for the same dialogue
    with suppress(TimeoutError):
        async with asyncio.timeout(1), asterisk.connect(source) as connection:
            await Phone(connection, user, "wrong", call_id=once, display=display).register()


def _over_iax(user: bytes, asterisk: Asterisk, source: str) -> Awaitable[object]:
    return iax.register(asterisk.attackers, source, server_of(source), user)


def _over_ami(user: bytes, asterisk: Asterisk, source: str) -> Awaitable[object]:
    return logins.ami(asterisk.attackers, source, server_of(source), user)


def _over_http(user: bytes, asterisk: Asterisk, source: str) -> Awaitable[object]:
    return logins.http(asterisk.attackers, source, server_of(source), user)


LIES = (
    Lie("a CR LF and a header", partial(sip, user="%0d%0aRemoteAddress%3a%20IPV4/UDP/9.9.9.9/1")),
    Lie("an event's end", partial(sip, user="%0d%0a%0d%0aEvent%3a%20X%0d%0a")),
    Lie("a LF and a header", partial(sip, user="%0aRemoteAddress%3a%20IPV4/UDP/9.9.9.9/1")),
    Lie("a quote and a field", partial(sip, user="%22,RemoteAddress=%22IPV4/UDP/9.9.9.9/1")),
    Lie("a line's end", partial(sip, user="x'%20failed%20for%20'9.9.9.9:5060'%20-%20Wrong%20password")),
    Lie("a name that is no UTF-8", partial(sip, user="%ff%fe%80")),
    Lie("a display name like a line", partial(sip, user="nobody", display=f'"{LINE}" ')),
    Lie("a display name like a line's end", partial(sip, user="nobody", display=f'"{TAIL}" ')),
    Lie("a Call-ID that is no UTF-8", partial(sip, call_id="x\udcff\udcfe"), hidden_from_json=True),
    Lie("a Call-ID with a quote and a field", partial(sip, call_id='x",RemoteAddress="IPV4/UDP/9.9.9.9/1')),
    Lie("a Call-ID like a line's end", partial(sip, call_id="x)-a'failed for'9.9.9.9:5060'(callid:y")),
    Lie("an IAX2 name like a line's end", partial(_over_iax, b"x' (from 9.9.9.9) z'")),
    Lie("an IAX2 name that is no UTF-8", partial(_over_iax, b"x\xff\xfe"), hidden_from_json=True),
    Lie("an IAX2 name with a line", partial(_over_iax, b"x'\n" + LINE.encode()), forges_plain=True),
    Lie("a manager's name like a line", partial(_over_ami, b"x' 9.9.9.9 failed to authenticate as 'y")),
    Lie("a manager's name with a field", partial(_over_ami, b'x",RemoteAddress="IPV4/TCP/9.9.9.9/1')),
    Lie("a manager's name that is no UTF-8", partial(_over_ami, b"x\xff\xfe"), hidden_from_json=True),
    Lie("an HTTP name with a header", partial(_over_http, b"x\r\nRemoteAddress: IPV4/TCP/9.9.9.9/5060")),
    Lie("an HTTP name with an event", partial(_over_http, EVENT.encode())),
    Lie("an HTTP name with a line", partial(_over_http, b"x'\n" + LINE.encode() + b"\n"), forges_plain=True),
)


def liar(number: int) -> str:
    """Return the address from which the lie of this number is told."""
    return f"10.99.151.{number + 1}"


async def lie(asterisk: Asterisk, lies: dict[str, Lie]) -> None:
    """Tell every lie once, from its own address."""
    await asyncio.gather(*(one.attack(asterisk, source) for source, one in lies.items()))
