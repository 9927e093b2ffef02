"""Debian's rsyslog in a mount namespace of its own; it vanishes with its first process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
SCRIPT = """
mount --bind "$2" "$1/mnt"
mount -t proc proc "$1/proc"
exec chroot "$1" /usr/sbin/rsyslogd -n -i NONE -f /mnt/rsyslog.conf
"""
GLOBAL = 'global(workDirectory="/mnt" maxMessageSize="64k")\n'


@contextmanager
def rsyslog(root: Path, state: Path, config: str) -> Iterator[None]:
    """Run the rsyslog of the chroot `root` with `config`, in which `state` is /mnt.

    Raises:
        AssertionError: it complained; the message holds its words.
    """
    state.chmod(0o755)
    (state / "rsyslog.conf").write_text(GLOBAL + config)
    console = state / "console"
    with console.open("wb") as output:
        process = subprocess.Popen(
            [*START, "sh", "-euc", SCRIPT, "sh", root, state], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield
        said = [line for line in console.read_text().splitlines() if "running as pid 1" not in line]
        assert process.poll() is None
        assert said == []
    finally:
        process.kill()
        process.wait(10)
