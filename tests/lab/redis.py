"""A real Redis of our own, on a Unix socket; in a namespace also on the network."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

from redis import Redis as Client
from redis.exceptions import RedisError

from tests.lab.chroots import chroot
from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import until


class Redis:
    """One server, with its files in `folder`, of Debian's `engine`: redis or valkey. It may be ended and started again.
    In a `namespace` it listens at an `address` there, on `port`."""

    def __init__(
        self,
        folder: Path,
        namespace: NetworkNamespace | None = None,
        address: str = "",
        port: int = 6379,
        engine: str = "redis",
    ) -> None:
        self._engine = engine
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.address = f"{address}:{port}"
        self._namespace = namespace
        self._network = ["--port", "0"]
        if namespace is not None:
            self._network = ["--bind", address, "--port", str(port), "--protected-mode", "no"]
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}" if self._namespace is None else f"redis://{self.address}"

    async def start(self, *options: str) -> None:
        fixed = ["--unixsocket", str(self.socket), "--dir", str(self.folder), "--save", ""]
        with nullcontext() if self._namespace is None else self._namespace.entered():
            self._launch([*self._network, *fixed, *options])
        await until(self._answers, 10, "Redis answers")

    async def watch(self, file: Path) -> None:
        """Be a sentinel, as `file` says, which it writes to."""
        with nullcontext() if self._namespace is None else self._namespace.entered():
            self._launch([str(file), "--sentinel", *self._network, "--unixsocket", str(self.socket)])
        await until(self._answers, 10, "the sentinel answers")

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            await asyncio.to_thread(self._process.wait, 10)
            self._process = None

    def stall(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def do(self, *command: str | bytes | int) -> Any:
        """Have it do something, as an administrator would, or somebody who took a node over."""
        with Client(unix_socket_path=str(self.socket), protocol=2) as client:
            return client.execute_command(*command)

    def info(self, section: str) -> str:
        """What it tells of itself, one value a line."""
        with Client(unix_socket_path=str(self.socket), protocol=2) as client:
            client.set_response_callback("INFO", lambda told, **_: told)
            client.set_response_callback("CLUSTER", lambda told, **_: told)
            command = ["CLUSTER", "INFO"] if section == "cluster" else ["INFO", section]
            return str(client.execute_command(*command).decode())

    def _launch(self, arguments: list[str]) -> None:
        command = [*program(self._engine), *arguments]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "redis.log").read_text()
        try:
            return bool(self.do("PING"))
        except RedisError:
            return False


def program(engine: str) -> list[str]:
    """Return how the server of a chroot is started, with all its libraries, and the files of this machine."""
    root = chroot("valkey" if engine == "valkey" else "servers")
    [loader] = root.glob("usr/lib/*-linux-gnu*/ld-linux*.so.*")  # that of /lib64 may be a link to this machine's
    libraries = ":".join(map(str, root.glob("usr/lib/*-linux-gnu*")))
    return [str(loader), "--library-path", libraries, str(root / f"usr/bin/{engine}-server")]
