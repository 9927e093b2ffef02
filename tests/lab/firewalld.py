"""Debian's firewalld in a network namespace, without systemd but with a D-Bus of its own; both end together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import wait_until

PRIVATE = ["unshare", "--mount"]
CONTAINED = ["setpriv", "--pdeathsig", "KILL", *PRIVATE, "--pid", "--fork", "--kill-child"]
CHROOT = """
root=$1 state=$2
mount --bind "$state/run" "$root/run"
mount --bind "$state/etc" "$root/etc/firewalld"
mount -t tmpfs log "$root/var/log"
mount -t proc proc "$root/proc"
shift 2
"""
SERVE = f"""{CHROOT}
chroot "$root" dbus-daemon --system --nopidfile --fork
exec chroot "$root" firewalld --nofork --nopid
"""
ASK = f"""{CHROOT}
exec chroot "$root" firewall-cmd "$@"
"""
CONFIG = """
DefaultZone=trusted
CleanupOnExit=no
FirewallBackend={backend}
FlushAllOnReload=yes
"""


@dataclass(frozen=True, slots=True)
class Firewalld:
    """A running firewalld."""

    root: Path
    state: Path
    namespace: NetworkNamespace

    def cmd(self, *arguments: str, check: bool = True) -> str:
        """Return what `firewall-cmd` says.

        Raises:
            AssertionError: `check` and it failed; the message holds its words.
        """
        command: list[str | Path] = [*PRIVATE, "sh", "-euc", ASK, "sh", self.root, self.state, *arguments]
        return self.namespace.run(command, check=check).stdout.strip()


@contextmanager
def firewalld(root: Path, state: Path, backend: str, namespace: NetworkNamespace) -> Iterator[Firewalld]:
    """Run the firewalld of the chroot `root` with this `FirewallBackend` in `namespace`; its files lie in `state`."""
    for folder in ("run/dbus", "etc"):
        (state / folder).mkdir(parents=True)
    (state / "etc/firewalld.conf").write_text(CONFIG.format(backend=backend))
    console = state / "console"
    with console.open("wb") as output:
        process = namespace.popen([*CONTAINED, "sh", "-euc", SERVE, "sh", root, state], stdout=output, stderr=output)
    one = Firewalld(root, state, namespace)

    def runs() -> bool:
        assert process.poll() is None, console.read_text()
        return one.cmd("--state", check=False) == "running"

    try:
        wait_until(runs, 30, "firewalld to run")
        yield one
    finally:
        process.kill()
        process.wait(10)
