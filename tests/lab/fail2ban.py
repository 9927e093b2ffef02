"""A real fail2ban, which bans whom a test tells it to; its database is left."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

SCRIPT = """
root=$1 state=$2
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t tmpfs run "$root/run"
mount -t tmpfs dev "$root/dev"
mount --bind /dev/null "$(touch "$root/dev/null"; echo "$root/dev/null")"
mount --bind /dev/urandom "$(touch "$root/dev/urandom"; echo "$root/dev/urandom")"
mount -t tmpfs log "$root/var/log"
mount --bind "$state" "$root/var/lib/fail2ban"
mount -t tmpfs jails "$root/etc/fail2ban/jail.d"
mkdir "$root/run/fail2ban"
touch "$root/var/log/watched"
mv "$root/var/lib/fail2ban/jail.conf" "$root/etc/fail2ban/jail.d/lab.conf"
exec chroot "$root" sh -euc "$3"
"""
"""The chroot itself is not changed: all that is written goes to memory, and the database to `$2`."""

JAIL = """
[{name}]
enabled = true
filter = asterisk
backend = polling
logpath = /var/log/watched
action = dummy
bantime = {bantime}
"""


def banned_by_fail2ban(root: Path, folder: Path, jails: dict[str, str], commands: Sequence[str]) -> Path:
    """Run fail2ban with these jails (name to bantime), give it these commands, end it; return its database."""
    (folder / "jail.conf").write_text("".join(JAIL.format(name=name, bantime=time) for name, time in jails.items()))
    run = "\n".join(["fail2ban-client start", *(f"fail2ban-client {command}" for command in commands)])
    script = f"{run}\nfail2ban-client stop"
    private = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net"]
    done = subprocess.run(
        [*private, "sh", "-euc", SCRIPT, "sh", str(root), str(folder), script],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "fail2ban.sqlite3"
