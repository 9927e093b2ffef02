"""Takes the control socket's place in the file system, and only where nobody else has it."""

from __future__ import annotations

import grp
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from amiguard.errors import ControlError

MODE = 0o660
"""The daemon's user and group. Who may open the socket may unban everybody."""

ANSWER_WITHIN = 1.0
"""Seconds that another daemon gets to take our call."""


def listen(path: Path) -> socket.socket:
    """Return a socket that is bound at `path`; its directory is made where it is missing (0750).

    A socket file on which nobody answers is what a killed daemon left: it is replaced.

    Raises:
        ControlError: another amiguard answers there, something else than a socket is there, or we may not.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        clear(path)
        socket_mode(listener)
        listener.bind(str(path))
        path.chmod(MODE)
    except OSError as error:
        listener.close()
        raise ControlError(f"the control socket {path} can't be opened: {error.strerror or error}") from error
    except ControlError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def listen_tcp(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an IP address and a port.

    Raises:
        ControlError: somebody else does, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ControlError(f"can't listen on {host} port {port}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


def socket_mode(listener: socket.socket) -> None:
    """Set the mode that the file gets at its birth: Linux takes it from the socket, so it is never open to all."""
    Path(f"/proc/self/fd/{listener.fileno()}").chmod(MODE)


def share(path: Path, group: str) -> str:
    """Let the members of a group use the socket; return why they can't, "" where they can.

    Only root and the group's own members may give it away (chown(2))."""
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except KeyError:
        return f"there is no group {group}"
    except OSError as error:
        return f"the socket can't be given to group {group}: {error.strerror}"
    return ""


@contextmanager
def regrouped(path: Path, group: str) -> Iterator[None]:
    """Let the members of another group use the socket ("": of the own one), unless the body fails.

    Raises:
        ControlError: they can't.
    """
    try:
        before = path.stat().st_gid
        if not group:
            os.chown(path, -1, os.getegid())
    except OSError as error:
        raise ControlError(f"the socket {path} can't change its group: {error.strerror}") from error
    if group and (problem := share(path, group)):
        raise ControlError(problem)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            os.chown(path, -1, before)
        raise


def clear(path: Path) -> None:
    """Remove a socket on which nobody answers. Raises ControlError, OSError."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise ControlError(f"{path} is no socket: give the control socket a path of its own")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(ANSWER_WITHIN)
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except (TimeoutError, BlockingIOError):
            pass
    raise ControlError(f"another amiguard answers on {path}")
