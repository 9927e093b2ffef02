"""Asks Asterisk who is registered, and where it registers itself: beside the log-ins that it tells of, so that phones
and trunks are known from the first second on.

The actions need `write = system`. Their answers hold passwords of trunks: only the named fields are ever read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from contextlib import suppress

from amiguard.errors import ActionDenied, ActionRefused, InvalidAddress, SourceError
from amiguard.journal import Action, Journal
from amiguard.model import Phone, Timestamp, parse_address
from amiguard.ports import Clock
from amiguard.sources.ami.protocol import AmiProtocol

EVERY = 300.0
"""Seconds between two questions: log-ins tell what happens meanwhile."""

PATIENCE = 30.0
"""Seconds for an answer: in a flood, it comes behind all events."""

LIMITED = "the manager user lacks write = system: phones are known only once they log in, and trunks not at all"

LONGEST = 7 * 24 * 3600 * 1000
"""Milliseconds for which a registration is believed, whatever time it names."""

CONTACTS = ("PJSIPShowContacts", "ContactList", ("ObjectName", "Endpoint", "Uri", "ExpirationTime"))
AORS = ("PJSIPShowRegistrationsInbound", "InboundRegistrationDetail", ("MaxContacts", "Contacts"))
TRUNKS = ("PJSIPShowRegistrationsOutbound", "OutboundRegistrationDetail", ("ServerUri", "OutboundProxy"))
"""Actions of `res_pjsip`, what they list, and what is read of it."""

URI = re.compile(
    r"sips?:(?:[^@\s]*@)?(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_.-]+))(?::[0-9]{1,5})?(?:[;?>,]|\Z)"
)
"""RFC 3261, section 19.1, as far as the host."""


class Registrations:
    """Asks over a connection, again and again. `learn` is told of each phone, `trunks` of all hosts that are trunks."""

    def __init__(
        self,
        learn: Callable[[Phone, Timestamp], None],
        trunks: Callable[[frozenset[str]], None],
        journal: Journal,
        clock: Clock,
        every: float = EVERY,
    ) -> None:
        self._learn = learn
        self._trunks = trunks
        self._journal = journal
        self._clock = clock
        self._every = every
        self._denied = False

    async def ask(self, link: AmiProtocol) -> None:
        """Ask for as long as the connection stands; once only where it is denied, for Asterisk logs each refusal."""
        while not link.closed.done():
            try:
                await self._ask_once(link)
            except ActionDenied:
                self._deny()
                return
            except SourceError:
                pass  # the connection ended, or a flood delays the answer
            await asyncio.wait({link.closed}, timeout=self._every)

    async def _ask_once(self, link: AmiProtocol) -> None:
        """Raises ActionDenied, SourceError."""
        now = self._clock()
        for contact in await listed(link, *CONTACTS):
            phone = phone_of(contact, now)
            if phone is not None:
                self._learn(phone, now)
        trunks = [uri for item in await listed(link, *TRUNKS) for uri in (item["ServerUri"], item["OutboundProxy"])]
        for aor in await listed(link, *AORS):
            if aor["MaxContacts"] == "0":  # nobody can register for it, so its contacts are the administrator's
                trunks += re.findall(r"/([^,]+)", aor["Contacts"])
        self._trunks(hosts_of(trunks))
        self._denied = False

    def _deny(self) -> None:
        if not self._denied:
            self._denied = True
            self._journal.write(Action.PRESENCE_LIMITED, LIMITED)


async def listed(link: AmiProtocol, action: str, event: str, fields: tuple[str, ...]) -> list[dict[str, str]]:
    """Return a list; an empty one where there is nothing to list, or no such action.

    Raises:
        ActionDenied: the permission is missing.
        SourceError: no answer, or the connection ended.
    """
    try:
        return await link.ask_for(PATIENCE, action, event, fields)
    except ActionDenied:
        raise
    except ActionRefused:
        return []


def phone_of(contact: dict[str, str], now: Timestamp) -> Phone | None:
    """Return the phone that a contact tells of; None where it names no address, no account or no end."""
    account = contact["Endpoint"] or contact["ObjectName"].partition(";")[0]
    host = host_of(contact["Uri"])
    if not account or host is None or not re.fullmatch(r"[0-9]{1,12}", contact["ExpirationTime"]):
        return None
    with suppress(InvalidAddress):
        return Phone(parse_address(host), account, min(int(contact["ExpirationTime"]) * 1000, now + LONGEST))
    return None


def hosts_of(uris: Iterable[str]) -> frozenset[str]:
    """Return the hosts in these URIs."""
    return frozenset(host for host in map(host_of, uris) if host is not None)


def host_of(uri: str) -> str | None:
    """Return the host of a SIP URI, an address or a name; None where it is no SIP URI."""
    found = URI.match(uri.strip())
    return None if found is None else (found["v6"] or found["host"]).lower().rstrip(".")
