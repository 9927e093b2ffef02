"""amiguard, and whom it is measured beside."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from typing_extensions import override

from tests.bench.peers import listener
from tests.bench.peers.peer import Bans, IpsetBans, Peer
from tests.bench.peers.wires import Ami, Log
from tests.lab.chroots import chroot
from tests.lab.daemon import ROOT
from tests.lab.fail2ban import SCRIPT
from tests.lab.stage import SECRET
from tests.lab.waiting import until

PATIENCE = 60
"""Seconds that a start may take."""

JAIL = """
[asterisk]
enabled = true
backend = pyinotify
logpath = /var/lib/fail2ban/watched
action = nftables[type=allports, protocol=udp, blocktype=drop]
maxretry = 5
findtime = 10m
bantime = 5d
usedns = no
"""
SERVER = "exec fail2ban-server -xf --logtarget /var/lib/fail2ban/told start"
PRIVATE = ("unshare", "--mount", "--pid", "--fork", "--kill-child")


class AmiguardByAmi(Peer):
    name = "amiguard, AMI"

    @override
    async def start(self) -> None:
        self.wire = Ami(self.place)
        self.pid = (await self.place.site.up()).pid


class AmiguardByLog(Peer):
    name = "amiguard, log"
    reactions = 20

    @override
    async def start(self) -> None:
        self.wire = Log(self.place.site.folder / "watched")
        own = {"AMI_USERNAME": "", "AMI_SECRET": "", "ASTERISK_LOG": str(self.wire.path), "ASTERISK_TIMEZONE": "UTC"}
        self.place.site.settings |= own
        daemon = self.place.site.start()
        self.pid = daemon.pid
        await daemon.told("log-opened")


class Fail2ban(Peer):
    """As Debian 12 installs it, with pyinotify and nftables; only the numbers of the jail are amiguard's."""

    name = "fail2ban"
    against = AmiguardByLog.name
    flood = 100
    reactions = 8

    @property
    def _folder(self) -> Path:
        return self.place.site.folder / "fail2ban"

    @override
    async def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        (self._folder / "jail.conf").write_text(JAIL)
        self.wire = Log(self._folder / "watched")
        told = self._folder / "told"
        told.write_bytes(b"")
        command = [*PRIVATE, "sh", "-euc", SCRIPT, "sh", str(chroot("servers")), str(self._folder), SERVER]
        self._process = self.place.namespace.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await until(lambda: b"Jail 'asterisk' started" in told.read_bytes(), PATIENCE, "fail2ban's start")
        self.pid = only_child(self._process.pid)

    async def remember(self, addresses: list[str]) -> None:
        """Start it, end it, and write bans into its database as it does."""
        await self.start()
        os.kill(self.pid, signal.SIGTERM)
        await until(lambda: self._process.poll() is not None, PATIENCE, "fail2ban's end")
        now, day = int(time.time()), 24 * 3600
        rows = [("asterisk", address, now, day, 1, '{"matches": [], "failures": 5}') for address in addresses]
        with sqlite3.connect(self._folder / "fail2ban.sqlite3") as database:
            for table in ("bans", "bips"):
                columns = f"INSERT INTO {table}(jail, ip, timeofban, bantime, bancount, data)"
                database.executemany(f"{columns} VALUES (?, ?, ?, ?, ?, ?)", rows)
        database.close()


def only_child(pid: int) -> int:
    """Return the process that this one started."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


class Bare(Peer):
    """`listener.py`. What banned by `nft` would restore by `nft -f`."""

    how: str

    def lay_out(self) -> None:
        """Make what drops, without anybody in it."""
        self.place.namespace.run(["nft", "-f", "-"], stdin=listener.LAYOUT)

    @override
    async def start(self) -> None:
        self.wire = Ami(self.place)
        self.lay_out()
        command = [sys.executable, "-m", "tests.bench.peers.listener", str(self.place.server.port), self.how]
        process = self.place.namespace.popen(command, stdin=subprocess.PIPE, cwd=ROOT)
        assert process.stdin is not None
        process.stdin.write(f"{SECRET}\n".encode())
        process.stdin.flush()
        await until(lambda: bool(self.place.server.listeners), PATIENCE, "its login")
        self.pid = process.pid


class NftPerBan(Bare):
    name = "a process `nft` per ban"
    how = "nft"


class IpsetPerBan(Bare):
    name = "a process `ipset` per ban"
    how = "ipset"

    @override
    def lay_out(self) -> None:
        self.place.namespace.run(["ipset", "create", listener.SET, "hash:ip"])
        rule = ["PREROUTING", "-m", "set", "--match-set", listener.SET, "src", "-j", "DROP"]
        self.place.namespace.run(["iptables", "-t", "raw", "-A", *rule])

    @override
    def bans(self) -> Bans:
        return IpsetBans(self.place, listener.SET)


class Ceiling(Bare):
    name = "a bare loop"
    how = "netlink"


CONTESTANTS: tuple[type[Peer], ...] = (AmiguardByAmi, AmiguardByLog, Fail2ban, NftPerBan, IpsetPerBan, Ceiling)
