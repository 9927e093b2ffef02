"""Debian's Chromium out of a chroot: the same on every machine, also where Chromium comes as a snap."""

from __future__ import annotations

import shlex
from pathlib import Path

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

START = """#!/bin/sh
exec unshare --mount sh -ec '
    root=$1
    shift
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/tmp"
    exec chroot "$root" /usr/bin/chromium "$@"
' sh {root} "$@"
"""


def program(root: Path, folder: Path) -> Path:
    """Write a program into `folder` that starts the Chromium of the chroot `root`, and return it; what it mounts goes
    with it."""
    path = folder / "chromium"
    path.write_text(START.format(root=shlex.quote(str(root))))
    path.chmod(0o755)
    return path
