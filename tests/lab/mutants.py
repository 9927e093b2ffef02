"""Names that no list holds: pieces of what misleads parsers, thrown together by a seed."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from tests.lab import iax, logins
from tests.lab.asterisk import SERVER4, Asterisk
from tests.lab.sip import Phone, Texts

PIECES = (
    "x", "6001", " ", "'", '"', "(", ")", ":", ",", "<", ">", "@", ";", "=", "[", "]", "{", "}", "\\", "%", "\t",
    "\x7f", "\x1b[31m", "\r\n", "\n", "\r", "\r\n\r\n", "\0", "9.9.9.9", "9.9.9.9:5060", "IPV4/UDP/9.9.9.9/1",
    "é\u202e", "\u2028", "RemoteAddress: IPV4/TCP/9.9.9.9/1", ',RemoteAddress="IPV4/UDP/9.9.9.9/1"',
    "Event: InvalidPassword", "Event: SuccessfulAuth", "Service: PJSIP", "SessionID: 1", "AccountID: 1",
    "Privilege: security,all",
    "' failed for '9.9.9.9:5060' (callid: y) - Wrong password", "' (from 9.9.9.9) z'",
    " 9.9.9.9 failed to authenticate as 'y", "Response: Success", "--END COMMAND--",
)  # fmt: skip
LENGTHS = (1, 2, 3, 5, 8, 13)
PLACES = ("user", "display", "call_id", "contact", "user_agent", "auth_user", "to_user", "ami", "http", "iax")
LONGEST = 200
"""Bytes of a name, for IAX2 knows no longer ones than 255."""
LONGEST_TRY = 4
"""Seconds for a whole attempt."""


@dataclass(frozen=True)
class Mutant:
    """A text, and where an attacker puts it."""

    place: str
    text: str

    @property
    def ends_packet(self) -> bool:
        """Whether what a phone writes behind this text, its digest too, may no longer belong to the packet."""
        return self.place != "user" and not {"\r", "\n", "\0"}.isdisjoint(self.text)


def mutants(seed: int, count: int) -> Iterator[Mutant]:
    """Yield so many texts, in all places in turn; a seed always yields the same."""
    chance = random.Random(seed)
    for number in range(count):
        text = "".join(chance.choices(PIECES, k=chance.choice(LENGTHS)))
        yield Mutant(PLACES[number % len(PLACES)], text.encode()[:LONGEST].decode(errors="ignore"))


async def try_out(asterisk: Asterisk, mutant: Mutant, source: str) -> bool:
    """Use the text in a guess from `source`; tell whether Asterisk refused a digest that certainly came with it."""
    text, attackers = mutant.text.encode(), asterisk.attackers
    with suppress(TimeoutError, OSError, EOFError):
        async with asyncio.timeout(LONGEST_TRY):
            if mutant.place == "ami":
                await logins.ami(attackers, source, SERVER4, text)
            elif mutant.place == "http":
                await logins.http(attackers, source, SERVER4, text)
            elif mutant.place == "iax":
                await iax.register(attackers, source, SERVER4, text)
            else:
                return await _guess(asterisk, mutant, source)
    return False


async def _guess(asterisk: Asterisk, mutant: Mutant, source: str) -> bool:
    once = secrets.token_hex(4)
    async with asyncio.timeout(1), asterisk.connect(source) as connection:
        phone = Phone(
            connection,
            quote(mutant.text) if mutant.place == "user" else "6001",
            "wrong",
            display=mutant.text if mutant.place == "display" else "",
            call_id=once + mutant.text if mutant.place == "call_id" else once,
            texts=Texts(**{mutant.place: mutant.text}) if mutant.place in Texts.__slots__ else Texts(),
        )
        await phone.register()
        return phone.sequence > 1 and not mutant.ends_packet
