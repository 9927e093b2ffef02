"""A Debian machine with the real Docker, Compose, Podman and kubectl, in namespaces of its own, gone without a trace.

No registry is reachable: its images are made of chroots, and built on these."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.cgroups import gone, hierarchies
from tests.lab.machine import FILES, KERNEL, Machine, child
from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import wait_until

START_SECONDS = 60
PATIENCE = 60
DOCKERD = r"""
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,rw proc/sys/net  # it lets packets through to its containers
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mkdir -p var/lib/docker "$3/data"
mount --bind "$3/data" var/lib/docker  # in memory, where images neither wait for a disk nor stay
printf '[engine]\nruntime="runc"\nevents_logger="file"\n' > etc/containers/containers.conf
printf '[storage]\ndriver="vfs"\ngraphroot="%s"\nrunroot="%s"\n' /run/images /run/pods > etc/containers/storage.conf
hostname docker
printf '127.0.0.1 localhost docker\n::1 localhost docker\n' > etc/hosts  # nobody is to wait for a name server
: > etc/resolv.conf
mkdir before
pivot_root . before  # where root is only changed, `docker exec` lands outside of the container
umount --lazy /before
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin docker-init -- dockerd --cgroup-parent="/$5"
"""
PODMANS = "libpod_parent"
"""The control group of all that Podman starts."""

NOT_FILES = ("./proc/*", "./sys/*", "./dev/*")


class Docker(Machine):
    """A machine on which Docker runs."""

    def take(self, image: str, chroot: Path, *changes: str) -> None:
        """Make an image of the files of a chroot; `changes` are lines of a Dockerfile."""
        tar = ["tar", "--create", f"--directory={chroot}", *(f"--exclude={path}" for path in NOT_FILES), "."]
        options = " ".join(f"--change '{line}'" for line in changes)
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as archive:
            self.sh(f"docker import {options} - {image}", stdin=archive.stdout)
        assert archive.returncode == 0

    def take_base(self, image: str, chroot: Path) -> None:
        """Make an image for `FROM`, of a chroot in which pip takes what it wants from this machine's wheels."""
        self.take("chroot", chroot)
        dockerfile = "FROM chroot\nCOPY . /wheels\nENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels"
        self.sh(f"docker build --quiet --tag {image} --file - /wheels <<'END'\n{dockerfile}\nEND")

    def inspect(self, container: str, what: str) -> str:
        """Return what Docker knows of a container, such as `.State.Health.Status`."""
        return self.sh(f"docker inspect --format '{{{{{what}}}}}' {container}").strip()

    def give_to_podman(self, *images: str) -> None:
        """Let Podman have these images too."""
        self.sh(f"docker save {' '.join(images)} | podman load --quiet")

    async def becomes(self, container: str, what: str, value: str) -> None:
        """Wait until `inspect` returns this. Raises AssertionError if it does not within a minute."""
        asked = f"docker inspect --format {{{{{what}}}}} {container}"
        loop = f'until [ "$({asked})" = {value} ]; do sleep 0.2; done'
        await asyncio.to_thread(self.sh, f"timeout {PATIENCE} sh -c '{loop}'")


@contextmanager
def docker(chroot: Path, folder: Path, wheels: Path, repository: Path, network: NetworkNamespace) -> Iterator[Docker]:
    """Run a machine with Docker in `network`, with the files of `chroot`, the `repository` and `wheels`.

    `folder` is an empty one for mounts."""
    group = f"amiguard-{os.getpid()}-{time.monotonic_ns()}"
    names = [group] if any((hierarchy / PODMANS).exists() for hierarchy in hierarchies()) else [group, PODMANS]
    own = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc"]
    script = ["sh", "-euc", FILES + KERNEL + DOCKERD, "sh", *map(str, (chroot, repository, folder, wheels)), group]
    console = folder / "console"
    with console.open("wb") as output:
        starter = network.popen(["setpriv", "--pdeathsig=KILL", *own, *script], stdout=output, stderr=output)
    machine = Docker(starter.pid, network)

    def up() -> bool:
        assert starter.poll() is None, console.read_text()
        return b"API listen on" in console.read_bytes()

    try:
        wait_until(up, START_SECONDS, "Docker to run")
        machine.pid = child(starter.pid)
        yield machine
    finally:
        starter.kill()
        starter.wait()
        left = [hierarchy / name for hierarchy in hierarchies() for name in names]
        wait_until(lambda: all(map(gone, left)), 10, "the end of all containers")
