"""Opens the socket to Asterisk: large enough a buffer before the first byte, and TLS that verifies."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl

from amiguard.errors import SourceError
from amiguard.sources.ami.settings import AmiSettings

RECEIVE_BUFFER = 4 << 20
"""Bytes. Asterisk ends the session of a reader that blocks it for `writetimeout` (100 ms), so this is all our slack:
with the kernel's default a stall of 1.7 s in a flood of REGISTERs cost us the connection, with this it cost nothing."""

SO_RCVBUFFORCE = 33
"""Linux, asm-generic/socket.h: like SO_RCVBUF, beyond net.core.rmem_max. Takes CAP_NET_ADMIN, which a firewall has."""

USER_TIMEOUT = 15_000
KEEPALIVE_IDLE = 20
KEEPALIVE_INTERVAL = 5

_Resolved = tuple[int, tuple[object, ...]]
"""The address family, and what connect() takes."""


async def dial(settings: AmiSettings) -> socket.socket:
    """Return a connected, non-blocking TCP socket; the addresses of the host are tried in their order.

    Raises:
        SourceError: none of them answered, or the host has no address.
    """
    failure = SourceError(f"{settings.host!r} has no address")
    for family, address in await _resolve(settings):
        try:
            return await _dial_one(family, address, settings)
        except SourceError as error:
            failure = error
    raise failure


async def _resolve(settings: AmiSettings) -> list[_Resolved]:
    host, port = settings.host, settings.port
    try:
        try:  # An address needs no resolver, and so no thread that outlives a cancellation.
            # As bytes, for a name would be encoded first, by a module that takes memory.
            found = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            async with asyncio.timeout(settings.connect_timeout):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SourceError(f"{host!r} can't be resolved: {str(error) or 'no answer'}") from error
    return [(family, address) for family, _, _, _, address in found]


async def _dial_one(family: int, address: tuple[object, ...], settings: AmiSettings) -> socket.socket:
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:  # no file descriptor is left
        raise _failed(settings, error) from error
    try:
        sock.setblocking(False)
        _prepare(sock)
        async with asyncio.timeout(settings.connect_timeout):
            await asyncio.get_running_loop().sock_connect(sock, address)
    except TimeoutError as error:
        sock.close()
        raise SourceError(f"no answer from {settings.where} within {settings.connect_timeout} s") from error
    except OSError as error:
        sock.close()
        raise _failed(settings, error) from error
    except BaseException:
        sock.close()
        raise
    return sock


def _failed(settings: AmiSettings, error: OSError) -> SourceError:
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return SourceError(f"can't connect to {settings.where}: {reason}")


def _prepare(sock: socket.socket) -> None:
    """Set what must be set before the handshake: the receive buffer decides the window that TCP offers."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT)


def tls_context(settings: AmiSettings) -> ssl.SSLContext | None:
    """Return how to verify Asterisk; None = no TLS.

    Raises:
        SourceError: the CA file can't be read.
    """
    if not settings.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
    except OSError as error:
        raise SourceError(f"AMI_TLS_CA {str(settings.tls_ca)!r} can't be read: {error.strerror}") from error
    if not settings.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
