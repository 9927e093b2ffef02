"""A real Asterisk in a network of its own: one namespace for the server, one for those who attack it.

Attackers may bind to any address of 10.99.128.0/17 and fd99:1::/64, and to 9.9.9.9, the victim in whose name packets
are forged. Nothing of this network is reachable from the machine, nor the other way round.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import trustme

from tests.lab.ami import Manager, manager
from tests.lab.netns import NetworkNamespace, veth
from tests.lab.transports import Connection, connect
from tests.lab.waiting import wait_until

SERVER4 = "10.99.0.1"
SERVER6 = "fd99::1"
VICTIM = "9.9.9.9"
BOOT_SECONDS = 60
ETC = Path(__file__).parent / "etc"

# Dies with the tests, even if they are killed; mounts vanish with it.
START = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--uts", "sh", "-euc"]
SCRIPT = """
hostname asterisk
mount --bind "$2" "$1/lab"
exec chroot "$1" /usr/sbin/asterisk -f -C /lab/etc/asterisk.conf
"""


@dataclass(frozen=True, slots=True)
class Asterisk:
    """A running Asterisk. `driver` is `pjsip` or `sip`, `full_log` its log, `json_log` the same as objects, `ca` what
    vouches for its TLS."""

    driver: str
    server: NetworkNamespace
    attackers: NetworkNamespace
    pid: int
    full_log: Path
    json_log: Path
    ca: Path

    def manager(self, user: str = "secmon") -> AbstractAsyncContextManager[Manager]:
        """Log in to the manager interface, from the server itself."""
        return manager(self.server, user)

    def connect(self, source: str, transport: str = "udp") -> AbstractAsyncContextManager[Connection]:
        """Connect to the SIP server from an address of the attackers."""
        return connect(self.attackers, source, SERVER6 if ":" in source else SERVER4, transport)

    def cli(self, command: str) -> str:
        """Return what Asterisk's own command line answers."""
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--root", "--wd=/"]
        asterisk = ["/usr/sbin/asterisk", "-C", "/lab/etc/asterisk.conf", "-rx", command]
        return self.server.run([*inside, *asterisk]).stdout


@contextmanager
def running(root: Path, driver: str, state: Path, also: Mapping[str, str] = MappingProxyType({})) -> Iterator[Asterisk]:
    """Run the Asterisk of the chroot `root` with `driver` (`pjsip` or `sip`); all it writes goes to `state`.

    `also` is text for the ends of its configuration files.

    Raises:
        AssertionError: it did not start; the message ends with what it said.
    """
    ca = configure(driver, state)
    for name, text in also.items():
        with (state / "etc" / name).open("a") as file:
            file.write(text)
    log = state / "log" / "full"
    with network() as (server, attackers), (state / "console").open("wb") as console:
        process = server.popen([*START, SCRIPT, "sh", root, state], stdout=console, stderr=console)

        def booted() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"Asterisk ended:\n{(state / 'console').read_text(errors='replace')[-3000:]}")
            return log.exists() and b"Asterisk Ready" in log.read_bytes() and reachable(attackers)

        try:
            wait_until(booted, BOOT_SECONDS, "Asterisk to be ready")
            yield Asterisk(driver, server, attackers, process.pid, log, log.with_name("amiguard.json"), ca)
        finally:
            process.kill()  # what it would save on a clean stop is thrown away


def configure(driver: str, state: Path) -> Path:
    """Lay out the state of one run; return the file with the certificate of its authority."""
    for folder in ("db", "keys", "log", "run", "spool"):
        (state / folder).mkdir(parents=True)
    shutil.copytree(ETC / "common", state / "etc")
    shutil.copytree(ETC / driver, state / "etc", dirs_exist_ok=True)
    for name in ("hosts", "resolv.conf"):
        shutil.copy(ETC / name, state)
    authority = trustme.CA()
    certificate = authority.issue_cert(SERVER4, SERVER6, "127.0.0.1", "::1", "localhost")
    certificate.private_key_pem.write_to_path(state / "keys/server.key")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(state / "keys/server.pem", append=True)
    ca = state / "keys/ca.pem"
    authority.cert_pem.write_to_path(ca)
    return ca


@contextmanager
def network() -> Iterator[tuple[NetworkNamespace, NetworkNamespace]]:
    """Make the namespaces of the server and of the attackers, joined by a cable."""
    with NetworkNamespace("asterisk") as server, NetworkNamespace("attackers") as attackers:
        veth(server, attackers, [f"{SERVER4}/17", f"{SERVER6}/64"], ["10.99.0.2/17", "fd99::2/64"])
        server.run(["ip", "-batch", "-"], stdin="route add default via 10.99.0.2\nroute add default via fd99::2\n")
        attackers.run(
            ["ip", "-batch", "-"],
            stdin="route add local 10.99.128.0/17 dev lo\n"
            "route add local fd99:1::/64 dev lo\n"
            f"route add local {VICTIM} dev lo\n",
        )
        with attackers.entered():
            Path("/proc/sys/net/ipv6/ip_nonlocal_bind").write_text("1")
        yield server, attackers


def reachable(attackers: NetworkNamespace) -> bool:
    """Tell whether a packet gets through over IPv6 too, which takes the neighbours a moment to learn."""
    with attackers.entered():
        probe = socket.socket(socket.AF_INET6)
    with probe:
        probe.settimeout(1)
        return probe.connect_ex((SERVER6, 5060)) == 0
