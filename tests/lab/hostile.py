"""The attacks of the captures, made again at a living Asterisk: everything that an attacker can write, and forge."""

from __future__ import annotations

import argparse
import asyncio
import codecs
import re
import secrets
from contextlib import suppress
from functools import cache
from urllib.parse import unquote_to_bytes

from tests.lab import iax, logins
from tests.lab.asterisk import SERVER4, Asterisk
from tests.lab.captures import Capture, captures
from tests.lab.sip import Phone, Texts

PATIENCE = 1
"""Seconds that an attacker waits for an answer: one who is banned meanwhile gets none."""
LONGEST = 4
"""Seconds for a whole attempt: Asterisk answers a log-in after one, and more where many try at once."""
VERSIONS = {"pjsip": "22-pjsip", "sip": "16-sip"}
TEXTS = ("domain", "to-user", "auth-user", "contact", "user-agent")
PASSWORDS = {"ok": "pw6001", "noauth": None, "unknown": None, "": None}
"""By the second word of an attempt's kind; any other guesses."""
BAD_URI = (
    b"REGISTER nosuchscheme:lab SIP/2.0\r\nVia: SIP/2.0/UDP 1.2.3.4;branch=z9hG4bKx;rport\r\n"
    b"From: <tel:9.9.9.9>;tag=1\r\nTo: <tel:9.9.9.9>\r\nCall-ID: mal5\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\n\r\n"
)


def cases(driver: str, group: str) -> list[Capture]:
    """Return the captures of one group (`hostile`, `spoof`) whose attack can be made at Asterisk with this driver.

    Those of another configuration (`@` in the name) and of the ARI, which the tests' Asterisk lacks, can't."""
    chosen = [case for case in captures() if case.name.startswith(f"{VERSIONS[driver]}/") and case.group == group]
    return [case for case in chosen if "@" not in case.name and not case.attack[0].startswith("ari-")]


@cache
def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("kind")
    parser.add_argument("--user", "--user-range", default="6001", type=written)
    for option in (*TEXTS, "display", "via-extra", "call-id", "nonce", "raw"):
        parser.add_argument(f"--{option}", default="", type=written)
    parser.add_argument("--transport", default="udp")
    return parser


def written(text: str) -> str:
    """Return what a text with escapes stands for; a byte that is no UTF-8 becomes a surrogate."""
    return codecs.escape_decode(text.encode())[0].decode(errors="surrogateescape")


async def attack(asterisk: Asterisk, case: Capture, source: str) -> None:
    """Make the attempt of a capture once, from `source`."""
    wanted, _ = _parser().parse_known_args(case.attack)
    with suppress(TimeoutError, OSError, EOFError):
        async with asyncio.timeout(LONGEST):
            await _attempt(asterisk, wanted, source)


async def _attempt(asterisk: Asterisk, wanted: argparse.Namespace, source: str) -> None:
    way, _, what = wanted.kind.partition("-")
    attackers, user = asterisk.attackers, octets(wanted.user)
    if way == "ami":
        await logins.ami(attackers, source, SERVER4, user)
    elif way == "http":
        await logins.http(attackers, source, SERVER4, unquote_to_bytes(user))
    elif wanted.kind == "iax-new-unknown":
        await iax.call(attackers, source, SERVER4, user, octets(wanted.to_user))
    elif way == "iax":
        await iax.register(attackers, source, SERVER4, user)
    elif wanted.kind in {"raw", "malformed"}:
        await _raw(asterisk, source, octets(wanted.raw) or BAD_URI)
    else:
        await _sip(asterisk, wanted, source, way.upper(), what)


def octets(text: str) -> bytes:
    """Return what is sent for a text in which surrogates are bytes."""
    return text.encode(errors="surrogateescape")


async def _raw(asterisk: Asterisk, source: str, packet: bytes) -> None:
    once = packet.replace(b"10.99.130.5", source.encode())
    once = re.sub(rb"(?m)^Call-ID: ", b"Call-ID: " + secrets.token_hex(4).encode(), once)
    async with asyncio.timeout(PATIENCE), asterisk.connect(source) as connection:
        await connection.send(once)
        await connection.receive()


async def _sip(asterisk: Asterisk, wanted: argparse.Namespace, source: str, method: str, what: str) -> None:
    texts = Texts(*(getattr(wanted, name.replace("-", "_")) for name in TEXTS))
    display = f'"{wanted.display}" ' if wanted.display else ""
    once = secrets.token_hex(4) + wanted.call_id  # chan_sip takes a Call-ID that it knows for the same dialogue
    async with asyncio.timeout(PATIENCE), asterisk.connect(source, wanted.transport) as connection:
        phone = Phone(
            connection, wanted.user, PASSWORDS.get(what, "wrong"),
            via=wanted.via_extra, call_id=once, display=display, texts=texts,
        )  # fmt: skip
        if what == "blind":
            await phone.register_blindly(wanted.nonce)
        else:
            await phone.register(method)
