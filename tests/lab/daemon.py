"""The real daemon as a process of its own: `amiguard run` in a network namespace, and all that it writes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from amiguard.control.client import ControlClient
from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import until

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "amiguard", "run")
NOBODY = 65534
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "1048576"}
"""As in the unit and in the image: how the C library is to give memory back."""

TICKS = os.sysconf("SC_CLK_TCK")

Line = dict[str, Any]


class Daemon:
    """One life of the daemon, from its start to its end."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, errors: Path, socket: Path) -> None:
        self.process = process
        self.control = ControlClient(socket)
        self.log = log
        self._errors = errors
        self._read = 0
        self._lines: list[Line] = []

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.process.pid

    @property
    def errors(self) -> str:
        """What it wrote on standard error: nothing, if all is well."""
        return self._errors.read_text()

    def lines(self, *actions: str) -> list[Line]:
        """Return the log so far, or its lines of these actions; a line that is being written is left for later."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            whole, _, _ = log.read().rpartition(b"\n")
        if whole:
            self._read += len(whole) + 1
            self._lines += map(json.loads, whole.split(b"\n"))
        return [line for line in self._lines if not actions or line["event.action"] in actions]

    def banned(self) -> list[str]:
        """Return whom the log calls banned, in its order."""
        return [line["source.ip"] for line in self.lines("ban")]

    async def told(self, action: str, count: int = 1, timeout: float = 60) -> list[Line]:  # noqa: ASYNC109 -- as in `until`
        """Wait until the log has `count` lines of this action, and return them."""

        def enough() -> bool:
            assert self.process.poll() is None, f"the daemon ended:\n{self.errors}{self.lines()[-5:]}"
            return len(self.lines(action)) >= count

        await until(enough, timeout, f"{count} times {action}; the log ends with {self.lines()[-3:]}")
        return self.lines(action)

    async def stop(self) -> int:
        """End it as systemd does, and return its exit code."""
        self.process.terminate()
        return await self.ended()

    async def ended(self, timeout: float = 20) -> int:  # noqa: ASYNC109 -- as in `until`
        """Wait for its end, and return its exit code."""
        await until(lambda: self.process.poll() is not None, timeout, "the end of the daemon")
        return self.process.wait()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.wait()

    async def status(self) -> Any:
        """Return what `amiguard status` shows."""
        return await self.control.status()

    def resident(self, peak: bool = False) -> int:
        """Return how many bytes of memory it has now, or had at its peak."""
        name = "VmHWM:" if peak else "VmRSS:"
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(name)) * 1024

    def identity(self) -> dict[str, str]:
        """Return as whom it runs, and with which capabilities."""
        told = (line.split() for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return {words[0]: words[-1] for words in told if words and words[0] in {"Uid:", "Gid:", "CapEff:"}}

    def arguments(self) -> bytes:
        """Return its command line, as everybody on the machine may see it."""
        return Path(f"/proc/{self.pid}/cmdline").read_bytes()

    def cpu(self) -> float:
        """Return how many seconds of CPU all its threads have used, in user and kernel mode."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


@dataclass
class Site:
    """Where a daemon lives, one life after the other: namespace, folder with database and sockets, settings."""

    namespace: NetworkNamespace
    folder: Path
    settings: dict[str, str]
    lives: list[Daemon] = field(default_factory=list)

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "amiguard.db"

    @property
    def environment(self) -> dict[str, str]:
        """All that the daemon is told."""
        own = {"DATABASE": str(self.database), "CONTROL_SOCKET": str(self.folder / "control.sock")}
        return (
            {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            | ALLOCATOR
            | {f"AMIGUARD_{name}": value for name, value in (own | self.settings).items()}
        )

    def give_to_nobody(self) -> None:
        """Let a daemon without privileges use the folder."""
        os.chown(self.folder, NOBODY, NOBODY)

    def start(self, command: Sequence[str | Path] = COMMAND, stdout: int | IO[bytes] | None = None) -> Daemon:
        """Start the daemon; its log goes to a file, if `stdout` names no other place."""
        number = len(self.lives)
        log, errors = self.folder / f"log-{number}.jsonl", self.folder / f"errors-{number}.txt"
        with log.open("wb") as out, errors.open("wb") as error:
            process = self.namespace.popen(
                command, stdout=out if stdout is None else stdout, stderr=error, env=self.environment, cwd=ROOT
            )
        self.lives.append(Daemon(process, log, errors, self.folder / "control.sock"))
        return self.lives[-1]

    async def up(self) -> Daemon:
        """Start the daemon and wait until Asterisk's events reach it."""
        daemon = self.start()
        await daemon.told("ami-connected")
        return daemon

    def kernel(self, version: int = 4) -> dict[str, int | None]:
        """Return the addresses that the kernel holds banned and the seconds that each has left; None = for ever."""
        sets = [elements(self.namespace, f"{strength}{version}") for strength in ("banned", "unproven")]
        assert not sets[0].keys() & sets[1].keys()
        return sets[0] | sets[1]

    def allowed(self, version: int = 4) -> list[str]:
        """Return the addresses and networks that the kernel never drops."""
        return list(elements(self.namespace, f"allow{version}"))


def unprivileged(resolver: Path | None = None) -> list[str | Path]:
    """Return the command that starts the daemon as nobody, with CAP_NET_ADMIN alone. `resolver` is its
    `/etc/resolv.conf`, if it is to have another than this machine.

    Where nobody may not enter a folder on the way to Python or to the code (such as /root), a private mount namespace
    shows only what is needed there."""
    script = ["set -e", *([] if resolver is None else [f"mount --bind {resolver} /etc/resolv.conf"])]
    needed = dict.fromkeys([Path(sys.base_prefix), Path(sys.prefix), ROOT])
    closed = {folder: [path for path in needed if folder in path.parents] for folder in map(_closed, needed) if folder}
    for folder, paths in closed.items():
        script += [f"mount --bind {folder} /mnt", f"mount -t tmpfs -o mode=755 none {folder}"]
        for path in paths:
            script += [f"mkdir -p {path}", f"mount --bind /mnt/{path.relative_to(folder)} {path}"]
        script.append("umount /mnt")
    script += [f"cd {ROOT}", 'exec "$@"']
    capability = ["--inh-caps=-all,+net_admin", "--ambient-caps=+net_admin", "--bounding-set=-all,+net_admin"]
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs", *capability]
    return ["unshare", "--mount", "sh", "-c", "\n".join(script), "sh", *drop, *COMMAND]


def _closed(path: Path) -> Path | None:
    """Return the highest folder above `path` that not everybody may enter."""
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & stat.S_IXOTH), None)


def elements(namespace: NetworkNamespace, name: str) -> dict[str, int | None]:
    """Return what `nft` says is in a set of amiguard's table; nothing where there is no such set."""
    listed = namespace.run(["nft", "-j", "list", "set", "inet", "amiguard", name], check=False)
    if listed.returncode != 0:
        return {}
    (found,) = (one["set"] for one in json.loads(listed.stdout)["nftables"] if "set" in one)
    return dict(map(_element, found.get("elem", [])))


def _element(printed: Any) -> tuple[str, int | None]:
    if isinstance(printed, dict) and "elem" in printed:
        return printed["elem"]["val"], printed["elem"].get("expires")
    if isinstance(printed, dict):
        return f"{printed['prefix']['addr']}/{printed['prefix']['len']}", None
    return cast("str", printed), None
