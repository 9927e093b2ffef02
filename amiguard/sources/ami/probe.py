"""One look at the manager interface, for `amiguard check`."""

from __future__ import annotations

from contextlib import suppress

from amiguard.errors import ActionDenied, ActionRefused, SourceError
from amiguard.sources.ami.connection import connect, deaf, hears, login, ping
from amiguard.sources.ami.protocol import AmiProtocol
from amiguard.sources.ami.settings import AmiSettings


async def probe(settings: AmiSettings) -> str:
    """Log in, hear our own login, ping, log off; return one line that says what was found.

    Raises:
        LoginRefused: wrong user or secret, or our address is not permitted.
        SourceError: no Asterisk answers, TLS does not verify, or the user lacks `read = security`.
    """
    async with connect(settings, AmiProtocol) as link:
        await login(link, settings)
        if not await hears(link, settings):
            raise deaf(settings)
        await ping(link, settings)
        known = await _known_phones(link, settings)
        banner = link.greeted.result()
        with suppress(SourceError):  # it closes either way
            await link.request(settings.ping_timeout, Action="Logoff")
    return f"{banner} at {settings.where}: {settings.username!r} gets security events; {known}"


async def _known_phones(link: AmiProtocol, settings: AmiSettings) -> str:
    """Say how phones and trunks become known. Raises SourceError."""
    try:
        await link.ask_for(settings.login_timeout, "PJSIPShowContacts", "ContactList", ())
    except ActionDenied:
        return "without write = system, phones are known only once they log in, and trunks not at all"
    except ActionRefused:  # nobody is registered, or there is no PJSIP
        pass
    return "phones and trunks are known by their registrations"
