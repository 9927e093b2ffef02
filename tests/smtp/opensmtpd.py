"""Debian's OpenSMTPD in a network of its own, which delivers everything to one maildir.

In clear text: the one of Debian 12 can't do TLS (its OpenSSL 3 refuses OpenSMTPD's way with private keys), nor login
without TLS. Both are proven with aiosmtpd."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import wait_until

PORT = 25
MAIL_USER = 8  # Debian's `mail`
CONFIG = """
table boxes { "@" = "mail" }
listen on 127.0.0.1 port 25 hostname "mx.example.org"
action "keep" maildir "/mnt/box" virtual <boxes>
match from any for any action "keep"
"""
# Everything is written below /mnt or into memory; all of it, and every process, vanishes with the first one.
START = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child"]
SCRIPT = """
hostname mx
mount --bind "$2" "$1/mnt"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/var/spool"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
mkdir -p "$1/var/spool/smtpd" "$1/run/opensmtpd"
chmod 711 "$1/var/spool/smtpd"
exec chroot "$1" /usr/sbin/smtpd -d -v -f /mnt/smtpd.conf
"""


@dataclass(frozen=True, slots=True)
class OpenSmtpd:
    """A running server. `box` is the maildir that gets every mail."""

    namespace: NetworkNamespace
    box: Path

    def delivered(self) -> list[Path]:
        return sorted((self.box / "new").glob("*"))


@contextmanager
def opensmtpd(root: Path, state: Path) -> Iterator[OpenSmtpd]:
    """Run the server of the chroot `root`; all that outlives it is in `state`.

    Raises:
        AssertionError: it did not start; the message ends with what it said.
    """
    (state / "smtpd.conf").write_text(CONFIG)
    (state / "smtpd.conf").chmod(0o600)
    (state / "box").mkdir()
    os.chown(state / "box", MAIL_USER, MAIL_USER)
    state.chmod(0o755)
    with NetworkNamespace("opensmtpd") as namespace, (state / "console").open("wb") as console:
        process = namespace.popen([*START, "sh", "-euc", SCRIPT, "sh", root, state], stdout=console, stderr=console)

        def listening() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"smtpd ended:\n{(state / 'console').read_text(errors='replace')[-3000:]}")
            with namespace.entered(), socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", PORT)) == 0

        try:
            wait_until(listening, 20, "smtpd to listen")
            yield OpenSmtpd(namespace, state / "box")
        finally:
            process.kill()
