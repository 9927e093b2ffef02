"""Talks to the mail server. The only import of aiosmtplib; its errors are translated here, by type and reply code.

What a server says is shown cut and escaped, and of a login not at all: it might repeat the password. Where it does so
elsewhere, that is left out."""

from __future__ import annotations

import asyncio
import os
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from email.utils import parseaddr

import aiosmtplib

from amiguard.errors import NotifierError
from amiguard.notifiers.settings import MailSettings
from amiguard.notifiers.wording import clean, host_word

PERMANENT = range(500, 600)
REPLY_LIMIT = 200
GOODBYE = 5
"""Seconds for QUIT: everything is handed over by then."""


class Session:
    """A connection to the server, ready to take mail."""

    def __init__(self, client: aiosmtplib.SMTP, settings: MailSettings) -> None:
        self._client = client
        self._sender = parseaddr(settings.sender)[1]
        self._settings = settings

    @property
    def alive(self) -> bool:
        """Whether the connection can take another mail."""
        return self._client.is_connected

    async def send(self, to: tuple[str, ...], content: bytes) -> Mapping[str, NotifierError]:
        """Hand over one mail; return the recipients who don't get it, and why: the server's refusals.

        Raises:
            NotifierError: the connection broke; nobody may have got it.
        """
        bare = {parseaddr(address)[1]: address for address in to}
        try:
            async with asyncio.timeout(self._settings.timeout):
                refused, _ = await self._client.sendmail(self._sender, list(bare), content)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return {bare[one.recipient]: _reply(one.code, one.message, self._settings) for one in error.recipients}
        except aiosmtplib.SMTPResponseException as error:
            if error.code < 0:  # no SMTP at all: what follows can't be paired with commands any more
                self._client.close()
            return dict.fromkeys(to, _reply(error.code, error.message, self._settings))
        except ValueError as error:  # an address that SMTP can't say; what was said of this mail so far is void
            self._client.close()
            return dict.fromkeys(to, NotifierError(f"not sendable: {type(error).__name__}", permanent=True))
        except (aiosmtplib.SMTPException, OSError) as error:
            self._client.close()
            raise _fault(error, self._settings) from None
        return {bare[address]: _reply(code, text, self._settings) for address, (code, text) in refused.items()}


@asynccontextmanager
async def session(settings: MailSettings) -> AsyncIterator[Session]:
    """Connect, secure and log in as configured; close at the end.

    Raises:
        NotifierError: the server is away, refuses, can't prove who it is or has no STARTTLS; never permanent.
    """
    client = aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        timeout=settings.timeout,
        use_tls=settings.tls == "tls",
        start_tls=settings.tls == "starttls",  # True = required; the library's default would fall back to clear text
        tls_context=None if settings.tls == "none" else await asyncio.to_thread(_trust, settings),
        local_hostname=host_word(settings.hostname),
    )
    transport: asyncio.BaseTransport | None = None
    try:
        await _connect(client, settings)
        transport = client.transport
        await _login(client, settings)
        yield Session(client, settings)
        if client.is_connected:
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=GOODBYE)
    finally:
        client.close()
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()  # `close` waits for a peer that reads nothing


async def _connect(client: aiosmtplib.SMTP, settings: MailSettings) -> None:
    try:
        async with asyncio.timeout(settings.timeout):
            await client.connect()
            await client.ehlo()
    except aiosmtplib.SMTPResponseException as error:
        said = _reply(error.code, error.message, settings)
        raise NotifierError(f"{settings.host} port {settings.port}: {said}") from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NotifierError(f"{settings.host} port {settings.port}: {_fault(error, settings)}") from None


async def _login(client: aiosmtplib.SMTP, settings: MailSettings) -> None:
    if not settings.username:
        return
    where = f"{settings.host} port {settings.port}"
    problem = ""
    try:
        async with asyncio.timeout(settings.timeout):
            await client.login(settings.username, settings.password)
    except aiosmtplib.SMTPResponseException as error:
        problem = f"{where}: login refused (reply code {error.code})"
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        problem = f"{where}: login failed ({type(error).__name__})"
    if problem:
        raise NotifierError(problem)  # outside the except: the library's exception may know the password


def _trust(settings: MailSettings) -> ssl.SSLContext:
    """Return a context that verifies. Made for each session, so that renewed certificates count."""
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise NotifierError(f"can't read certificates from {settings.ca_file}: {_fault(error, settings)}") from error


def _reply(code: int, text: str, settings: MailSettings) -> NotifierError:
    return NotifierError(f"the server answered {code} {_shown(text, settings)}", permanent=code in PERMANENT)


def _fault(error: BaseException, settings: MailSettings) -> NotifierError:
    match error:
        case aiosmtplib.SMTPConnectError(__cause__=OSError() as cause):
            return _fault(cause, settings)
        case ssl.SSLCertVerificationError():
            return NotifierError(f"certificate not accepted: {error.verify_message}")
        case TimeoutError():
            return NotifierError("no answer in time")
        case OSError(errno=int(number)) if not isinstance(error, ssl.SSLError):
            return NotifierError(os.strerror(number))
        case _:
            return NotifierError(f"{type(error).__name__}: {_shown(str(error), settings)}")


def _shown(text: str, settings: MailSettings) -> str:
    """Return the words of a server without the password, which it may have heard in an earlier session: as it is, and
    as PLAIN and LOGIN say it (RFC 4616)."""
    password = settings.password.encode()
    for said in (password, b64encode(password), b64encode(b"\0".join((b"", settings.username.encode(), password)))):
        text = text.replace(said.decode(), "***") if password else text
    return clean(text, REPLY_LIMIT)


async def probe(settings: MailSettings) -> str:
    """Try everything but a mail, for `amiguard check`; return one line.

    Raises:
        NotifierError: mail would not work now, and why.
    """
    async with session(settings):
        pass
    secured = {"none": "in clear text", "starttls": "with STARTTLS", "tls": "with TLS"}[settings.tls]
    login = f", logged in as {clean(settings.username)}" if settings.username else ""
    return f"{settings.host} port {settings.port} answers {secured}{login}"
