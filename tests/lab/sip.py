"""A SIP user agent for tests: a correct phone, or with a wrong password or none an attacker."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from dataclasses import dataclass

from tests.lab.transports import Connection

UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server wants to have hashed with the password; the defaults are what an attacker invents."""

    realm: str = "asterisk"
    nonce: str = "1234567890/0123456789abcdef0123456789abcdef"
    qop: str = ""
    opaque: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """A final response."""

    status: int
    challenge: Challenge | None


@dataclass(frozen=True, slots=True)
class Texts:
    """What an attacker may write where a phone has nothing to choose; empty is what a phone writes."""

    domain: str = ""
    to_user: str = ""
    auth_user: str = ""
    contact: str = ""
    user_agent: str = ""


class Phone:
    """Registers one account over one connection.

    `user` stands in the message as it is, percent signs too; `password` None never answers a challenge; `via` is added
    to the Via header, such as `;maddr=9.9.9.9`; `display` stands before the From address. A surrogate in any text is a
    byte that is no UTF-8."""

    def __init__(
        self,
        connection: Connection,
        user: str,
        password: str | None = None,
        *,
        via: str = "",
        call_id: str = "",
        display: str = "",
        texts: Texts = Texts(),
    ) -> None:
        self.connection = connection
        self.user = user
        self.password = password
        self.via = via
        self.display = display
        self.texts = texts
        self.call_id = call_id or secrets.token_hex(8)
        self.tag = secrets.token_hex(4)
        self.sequence = 0
        self.challenge: Challenge | None = None
        self.challenge_uses = 0

    async def register(self, method: str = "REGISTER") -> int:
        """Return the final status. As phones do, it keeps the nonce that worked and takes a fresh one when refused."""
        response = await self.request(method)
        if response.status == UNAUTHORIZED and self.password is not None:
            self.use(response.challenge)
            response = await self.request(method)
            if response.status == UNAUTHORIZED:
                self.use(None)
        return response.status

    async def register_blindly(self, nonce: str = "") -> int:
        """Send a digest for a nonce that no server ever gave: one packet, so the source address may be forged."""
        self.use(Challenge(nonce=nonce) if nonce else Challenge())
        try:
            return (await self.request("REGISTER")).status
        finally:
            self.use(None)

    def use(self, challenge: Challenge | None) -> None:
        self.challenge = challenge
        self.challenge_uses = 0

    async def request(self, method: str, patience: float = 5) -> Response:
        """Send one request and return its final response.

        Raises:
            TimeoutError: none came within `patience` seconds.
        """
        await self.connection.send(self.message(method))
        async with asyncio.timeout(patience):
            while True:
                response = (await self.connection.receive()).decode(errors="surrogateescape")
                status = re.match(r"SIP/2.0 (\d{3}) ", response)
                if status and int(status[1]) >= 200 and f"\r\nCSeq: {self.sequence} " in response:
                    return Response(int(status[1]), challenge_of(response))

    def message(self, method: str) -> bytes:
        """Return the next request in this dialogue."""
        self.sequence += 1
        connection = self.connection
        texts, host = self.texts, bracketed(connection.server)
        domain, to_user = texts.domain or host, texts.to_user or self.user
        here = f"{bracketed(connection.local[0])}:{connection.local[1]}"
        branch = f"z9hG4bK{secrets.token_hex(6)}"
        lines = [
            f"{method} sip:{domain} SIP/2.0",
            f"Via: SIP/2.0/{connection.transport.upper()} {here};branch={branch};rport{self.via}",
            "Max-Forwards: 70",
            f"From: {self.display}<sip:{self.user}@{domain}>;tag={self.tag}",
            f"To: <sip:{to_user}@{domain}>",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.sequence} {method}",
            f"Contact: {texts.contact or f'<sip:{self.user}@{here};transport={connection.transport}>'}",
            *([f"User-Agent: {texts.user_agent}"] if texts.user_agent else []),
            *([f"Authorization: {self.digest(self.challenge, method, f'sip:{domain}')}"] if self.challenge else []),
            "Expires: 120",
            "Content-Length: 0",
        ]
        return "\r\n".join([*lines, "", ""]).encode(errors="surrogateescape")

    def digest(self, challenge: Challenge, method: str, uri: str) -> str:
        """Return the answer to a challenge (RFC 2617, MD5)."""
        self.challenge_uses += 1
        count, once = f"{self.challenge_uses:08x}", secrets.token_hex(4)
        user = self.texts.auth_user or self.user
        secret = md5(f"{user}:{challenge.realm}:{self.password}")
        what = md5(f"{method}:{uri}")
        answer = f'Digest username="{user}", realm="{challenge.realm}", nonce="{challenge.nonce}", uri="{uri}"'
        if challenge.qop:
            answer += f', qop=auth, nc={count}, cnonce="{once}"'
            what = f"{count}:{once}:auth:{what}"
        if challenge.opaque:
            answer += f', opaque="{challenge.opaque}"'
        return f'{answer}, response="{md5(f"{secret}:{challenge.nonce}:{what}")}", algorithm=MD5'


def challenge_of(response: str) -> Challenge | None:
    found = re.search(r"^WWW-Authenticate: *Digest (.*)\r$", response, re.MULTILINE | re.IGNORECASE)
    if not found:
        return None
    fields = dict(re.findall(r'(\w+)="?([^",]*)', found[1]))
    return Challenge(fields["realm"], fields["nonce"], fields.get("qop", ""), fields.get("opaque", ""))


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def md5(text: str) -> str:
    return hashlib.md5(text.encode(errors="surrogateescape")).hexdigest()
