"""A whole Debian machine with the real systemd, in namespaces of its own: up in a second, and gone without a trace.

It shares nothing with this machine but the kernel. Its files are those of a chroot, which it can't change: what it
writes goes to memory. Control groups are made in a group of its own, which is removed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

from tests.lab.cgroups import CGROUPS, gone
from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import wait_until

HYBRID = (CGROUPS / "unified", CGROUPS / "systemd")
BOOT_SECONDS = 60
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

FILES = """
mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$3"
mkdir "$3/upper" "$3/work" "$3/root"
mount -t overlay -o "lowerdir=$1,upperdir=$3/upper,workdir=$3/work" machine "$3/root"
cd "$3/root"
mkdir -p repository wheels "$3/edited" "$3/editing"
mount -t overlay -o "lowerdir=$2,upperdir=$3/edited,workdir=$3/editing" machine repository
mount --bind "$4" wheels
"""
"""Mounts the files of a machine: its chroot, this repository, an empty folder, wheels. Writes go to memory."""

KERNEL = """
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys  # or its systemd-sysctl would set this kernel's variables
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 run run
mount -t tmpfs tmp tmp
mount -t tmpfs -o mode=755 dev dev
for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
mkdir dev/shm dev/pts
mount -t tmpfs shm dev/shm
mount -t devpts -o newinstance,ptmxmode=666 pts dev/pts
ln -s pts/ptmx dev/ptmx
"""
"""Makes the machine's own /proc, /sys, /dev, /run."""

BOOT = """
if [ -d /sys/fs/cgroup/unified ]; then
    mount -t tmpfs groups sys/fs/cgroup
    mkdir sys/fs/cgroup/unified sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
else
    mount -t cgroup2 cgroup2 sys/fs/cgroup
fi
mount --make-rshared "$3/root"  # systemd hands credentials over by a mount that must be seen everywhere
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd --show-status=no
"""
"""Gives it control groups and starts its init."""


class Machine:
    """A machine that runs. `pid` is its init, seen from here."""

    def __init__(self, pid: int, namespace: NetworkNamespace) -> None:
        self.pid = pid
        self.namespace = namespace

    def sh(
        self,
        script: str,
        *,
        check: bool = True,
        timeout: float = 120,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        **environment: str,
    ) -> str:
        """Run a shell script as root on the machine, and return what it writes."""
        inside = ["nsenter", f"--target={self.pid}", "--all", "--root", "env", "-i", f"PATH={PATH}"]
        inside += [f"{name}={value}" for name, value in environment.items()]
        done = subprocess.run(
            [*inside, "sh", "-euc", f"cd /repository\n{script}"],
            check=False,
            stdin=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            raise AssertionError(f"{script!r} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    @property
    def root(self) -> Path:
        """Its files, seen from here."""
        return Path(f"/proc/{self.pid}/root")


@contextmanager
def booted(
    chroot: Path, folder: Path, wheels: Path, repository: Path, network: NetworkNamespace | None = None
) -> Iterator[Machine]:
    """Boot a machine with the files of `chroot`, the `repository` and `wheels`; `folder` is an empty one for mounts.

    It is in a network of its own, if none is given."""
    group = f"amiguard-{os.getpid()}-{time.monotonic_ns()}"
    hierarchies = [place / group for place in (HYBRID if HYBRID[0].is_dir() else (CGROUPS,))]
    for hierarchy in hierarchies:
        hierarchy.mkdir()
    enter = "".join(f"echo $$ > {hierarchy}/cgroup.procs\n" for hierarchy in hierarchies)
    own = ["unshare", "--cgroup", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc"]
    script = ["sh", "-euc", FILES + KERNEL + BOOT, "sh", str(chroot), str(repository), str(folder), str(wheels)]
    with (
        nullcontext(network) if network else NetworkNamespace("machine") as namespace,
        (folder / "console").open("wb") as console,
    ):
        starter = namespace.popen(
            ["setpriv", "--pdeathsig=KILL", "sh", "-euc", f'{enter}exec "$@"', "sh", *own, *script],
            stdout=console,
            stderr=console,
        )
        try:
            wait_until(lambda: _is_up(starter.pid), BOOT_SECONDS, "the machine to boot")
            yield Machine(child(starter.pid), namespace)
        finally:
            starter.kill()
            starter.wait()
            for hierarchy in hierarchies:
                wait_until(lambda here=hierarchy: gone(here), 10, "the end of the machine")  # type: ignore[misc]


def child(pid: int) -> int:
    """Return the only process that a process started."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _is_up(pid: int) -> bool:
    with suppress(OSError, IndexError):
        target = ["nsenter", f"--target={child(pid)}", "--all", "--root"]
        done = subprocess.run(
            [*target, "systemctl", "is-system-running"], check=False, capture_output=True, text=True, timeout=10
        )
        return done.stdout.strip() in {"running", "degraded"}
    return False
