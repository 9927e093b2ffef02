"""Private network namespaces for tests: each dies with its last user, so that even a killed test leaves none behind.

A namespace has no name in the file system; `path` is what `ip` and `nsenter` take for it."""

from __future__ import annotations

import ctypes
import itertools
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

CLONE_NEWNET = 0x40000000
OWN = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)  # os.setns and os.unshare came with Python 3.12
_numbers = itertools.count()


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextmanager
def _restored() -> Iterator[None]:
    own = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        _check(_libc.setns(own, CLONE_NEWNET))
        os.close(own)


class NetworkNamespace:
    """One network namespace with loopback up. A context manager; leaving it ends the processes that `popen` started."""

    def __init__(self, name_prefix: str = "test") -> None:
        self.name = f"{name_prefix}-{os.getpid()}-{next(_numbers)}"
        self._fd = -1
        self._devices = itertools.count()
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        with _restored():
            _check(_libc.unshare(CLONE_NEWNET))
            self._fd = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        self.run(["ip", "link", "set", "lo", "up"])
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            _end(process)
        self._processes.clear()
        os.close(self._fd)
        self._fd = -1

    @property
    def path(self) -> str:
        """Where other processes find this namespace while it is open."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Put the calling thread into this namespace: sockets opened and processes started inside belong to it."""
        with _restored():
            _check(_libc.setns(self._fd, CLONE_NEWNET))
            yield

    def run(
        self, argv: Sequence[str | Path], *, check: bool = True, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in this namespace; its output is text.

        Raises:
            AssertionError: `check` and it failed; the message holds what it wrote.
        """
        with self.entered():
            done = subprocess.run(argv, capture_output=True, text=True, input=stdin, timeout=timeout, check=False)
        if check and done.returncode != 0:
            output = done.stderr or done.stdout
            raise AssertionError(f"{list(argv)} in {self.name} ended with {done.returncode}: {output}")
        return done

    def popen(
        self,
        argv: Sequence[str | Path],
        *,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command in this namespace; it is ended with the namespace if it still runs then."""
        with self.entered():
            process = subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd)
        self._processes.append(process)
        return process

    def device_name(self) -> str:
        """Return a device name that is free in this namespace."""
        return f"veth{next(self._devices)}"


def _end(process: subprocess.Popen[bytes], grace: float = 5) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(grace)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def veth(
    a: NetworkNamespace, b: NetworkNamespace, a_addresses: Sequence[str], b_addresses: Sequence[str]
) -> tuple[str, str]:
    """Join two namespaces by a pair of virtual Ethernet devices that are up; return their names in `a` and `b`.

    Addresses carry a prefix length: `10.0.0.1/24`, `fd00::1/64`. IPv6 ones are usable at once."""
    a_device, b_device = a.device_name(), b.device_name()
    a.run(["ip", "link", "add", a_device, "type", "veth", "peer", "name", b_device, "netns", b.path])
    for namespace, device, addresses in ((a, a_device, a_addresses), (b, b_device, b_addresses)):
        lines = [f"address add {address} dev {device}" + " nodad" * (":" in address) for address in addresses]
        namespace.run(["ip", "-batch", "-"], stdin="\n".join([*lines, f"link set {device} up\n"]))
    return a_device, b_device
