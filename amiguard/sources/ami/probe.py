"""One look at the manager interface, for `amiguard check`."""

from __future__ import annotations

from contextlib import suppress

from amiguard.errors import SourceError
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
        banner = link.greeted.result()
        with suppress(SourceError):  # it closes either way
            await link.request(settings.ping_timeout, Action="Logoff")
    return f"{banner} at {settings.where}: {settings.username!r} gets security events"
