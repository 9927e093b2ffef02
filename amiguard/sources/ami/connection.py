"""The life of one connection, step by step: TCP, TLS, banner, login, pings. Foreign errors end here."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from amiguard.errors import LoginRefused, SourceError
from amiguard.sources.ami.dial import dial, tls_context
from amiguard.sources.ami.protocol import AmiProtocol, Hidden
from amiguard.sources.ami.settings import AmiSettings


@asynccontextmanager
async def connect(settings: AmiSettings, new_protocol: Callable[[], AmiProtocol]) -> AsyncIterator[AmiProtocol]:
    """Connect and wait for the banner, so that nothing else than a manager interface ever gets the secret.

    On the way out the socket is closed, however the body ended.

    Raises:
        SourceError: nobody answers, TLS does not verify, or it is no Asterisk.
    """
    protocol = await _open(settings, new_protocol)
    try:
        await _first(settings.banner_timeout, protocol.greeted, protocol.closed)
        if protocol.closed.done():
            raise protocol.closed.result()
        if not protocol.greeted.done():
            raise SourceError(
                f"no banner from {settings.where} within {settings.banner_timeout} s: no Asterisk manager"
            )
        yield protocol
    finally:
        protocol.abort()
        await asyncio.wait({protocol.closed})


async def _open(settings: AmiSettings, new_protocol: Callable[[], AmiProtocol]) -> AmiProtocol:
    context = tls_context(settings)
    sock = await dial(settings)
    try:
        _, protocol = await asyncio.get_running_loop().create_connection(
            new_protocol,
            sock=sock,
            ssl=context,
            server_hostname=(settings.tls_server_name or settings.host) if context else None,
            ssl_handshake_timeout=settings.connect_timeout if context else None,
        )
    except ssl.SSLCertVerificationError as error:
        raise SourceError(f"the certificate of {settings.where} is not trusted: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise SourceError(f"no TLS with {settings.where}: {error.reason or error}") from error
    except (OSError, ValueError) as error:  # ValueError: a server name that can't be one
        raise SourceError(f"can't talk to {settings.where}: {error}") from error
    return protocol


async def login(link: AmiProtocol, settings: AmiSettings) -> None:
    """Log in and ask for security events only.

    Raises:
        LoginRefused: Asterisk said no.
        SourceError: it said nothing.
    """
    answer = await link.request(
        settings.login_timeout,
        Action="Login",
        Username=settings.username,
        Secret=Hidden(settings.secret),
        Events="security",
    )
    if answer["Response"] != "Success":
        said = answer["Message"].replace(settings.secret, "***") if settings.secret else answer["Message"]
        raise LoginRefused(
            f"Asterisk refused manager user {settings.username!r}: {said!r}; "
            f"check its secret, permit, deny and acl in manager.conf"
        )


async def hears(link: AmiProtocol, settings: AmiSettings) -> bool:
    """Tell whether security events arrive, by the canary: Asterisk reports our own login as SuccessfulAuth.

    A login succeeds without `read = security` too, and then no event ever comes.

    Raises:
        SourceError: the connection ended meanwhile.
    """
    await _first(settings.canary_timeout, link.heard, link.closed)
    if link.closed.done():
        raise link.closed.result()
    return link.heard.done()


async def ping(link: AmiProtocol, settings: AmiSettings) -> None:
    """Make sure that Asterisk still answers. In a flood its Pong may be late: bytes that arrive are an answer too.

    Raises:
        SourceError: nothing came, or the connection ended.
    """
    before = link.received
    try:
        await link.request(settings.ping_timeout, Action="Ping")
    except SourceError:
        if link.closed.done() or link.received == before:
            raise


def deaf(settings: AmiSettings) -> SourceError:
    """Return what is wrong where the login succeeds and no security event comes."""
    return SourceError(
        f"manager user {settings.username!r} may log in but gets no security events: "
        f"put read = security into its section of manager.conf, then reload the manager"
    )


async def _first(
    seconds: float, *futures: asyncio.Future[str] | asyncio.Future[None] | asyncio.Future[SourceError]
) -> None:
    await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
