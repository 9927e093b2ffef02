"""Debian packages that tests run for real, each in a folder of its own, made once and kept outside the repository.

    python -m tests.lab.chroots [NAME ...]      makes what is missing (all by default) and prints where it lies

The folders lie in `$AMIGUARD_TEST_CACHE`, else `$XDG_CACHE_HOME/amiguard`, else `~/.cache/amiguard`; removing that
folder is safe whenever no test runs. `AMIGUARD_TEST_DEBIAN_MIRROR` names the mirror to take the packages from; without
it that is the mirror this machine's apt uses, if it is a Debian, else mmdebstrap's own default.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUILD_SECONDS = 900
OPTIONS = (
    "--quiet",
    '--aptopt=Acquire::Check-Valid-Until "false"',  # the Release file of an old suite is not renewed
    '--aptopt=Acquire::Retries "3"',
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
)


class ChrootUnavailable(Exception):
    """The packages could not be had, or not be unpacked; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What goes into a chroot. `hooks` are shell commands that run at the end, `first` those that run before the
    packages are configured, `variant` what is there beside `packages`; `$1` is the folder."""

    suite: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    variant: str = "essential"

    @property
    def stamp(self) -> str:
        """Short text that changes when the recipe does."""
        return hashlib.sha256(repr((self, OPTIONS)).encode()).hexdigest()[:12]


# Each run of Asterisk mounts its own state at /lab. Its hosts file lies there too: without one that names the host,
# PJSIP waits 20 s for a name server at start.
LAB = (
    'mkdir "$1/lab"',
    'ln -sf /lab/hosts "$1/etc/hosts"',
    'ln -sf /lab/resolv.conf "$1/etc/resolv.conf"',
)
# Where this file is there and not empty, the package registers with nobody.
NO_CENTRAL_API = (
    'mkdir -p "$1/etc/crowdsec"',
    'echo "# none" > "$1/etc/crowdsec/online_api_credentials.yaml"',
)
# What amiguard works beside, in one chroot: most of what is unpacked for each is the same. As packages of the machine
# they would start services.
SERVERS = (
    *("fail2ban", "nftables", "python3-pyinotify"),
    *("firewalld", "dbus", "iptables", "ipset"),
    *("crowdsec", "opensmtpd", "prometheus", "redis-server", "rsyslog"),
)
# Sid is signed with keys that are younger than the package with the keys of an older release, or of Ubuntu.
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
CONTAINERS = (
    *("docker.io", "docker-cli", "docker-buildx", "docker-compose", "iptables", "mount"),
    *("kubectl", "podman", "catatonit"),
)
RECIPES = {
    "keys": Recipe("bookworm", ("debian-archive-keyring",), variant="extract"),
    "asterisk22": Recipe("sid", ("asterisk", "asterisk-modules"), LAB),
    "servers": Recipe("bookworm", SERVERS, first=NO_CENTRAL_API),
    "asterisk16": Recipe("bullseye", ("asterisk", "asterisk-modules", "asterisk-config"), LAB),
    "chromium": Recipe("bookworm", ("chromium", "fonts-dejavu-core")),
    "docker": Recipe("trixie", CONTAINERS),
    "debian12": Recipe("bookworm", ("systemd", "systemd-sysv", "dbus", "python3", "python3-venv", "nftables")),
    "valkey": Recipe("trixie", ("valkey-server",)),
}


def chroot(name: str) -> Path:
    """Return the folder of a chroot of `RECIPES`; makes it first, in about a minute, where there is none yet.

    Raises:
        ChrootUnavailable: it can't be made.
    """
    ready = place(name)
    with locked(ready.with_name(f"{name}.lock")):
        if not ready.exists():
            part = ready.with_name(f"{name}-part")
            if part.exists():  # a build that was killed
                shutil.rmtree(part)
            build(RECIPES[name], part)
            part.rename(ready)
    return ready


def place(name: str) -> Path:
    """Return where a chroot lies, or will lie."""
    return cache() / f"{name}-{RECIPES[name].stamp}"


def cache() -> Path:
    """Return the folder that outlives test runs; it exists."""
    chosen = os.environ.get("AMIGUARD_TEST_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amiguard"
    base = base.absolute()
    base.mkdir(parents=True, exist_ok=True)
    return base


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until nobody else holds the lock at `path`, then hold it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(recipe: Recipe, target: Path) -> None:
    """Unpack and configure the packages in `target`. Raises ChrootUnavailable."""
    if os.geteuid() != 0:
        raise ChrootUnavailable("making a chroot needs root: sudo make test")
    command = ["mmdebstrap", *OPTIONS, f"--variant={recipe.variant}", f"--include={','.join(recipe.packages)}"]
    command += [f"--essential-hook={hook}" for hook in recipe.first]
    command += [f"--customize-hook={hook}" for hook in recipe.hooks]
    if recipe.suite == "sid":
        command.append(f"--keyring={chroot('keys')}{KEYS}")
    command += [recipe.suite, str(target), *mirror()]
    try:
        subprocess.run(
            command, check=True, timeout=BUILD_SECONDS, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise ChrootUnavailable("mmdebstrap is missing: make setup") from None
    except subprocess.TimeoutExpired:
        raise ChrootUnavailable(unavailable(recipe, f"not done after {BUILD_SECONDS} s")) from None
    except subprocess.CalledProcessError as error:
        raise ChrootUnavailable(unavailable(recipe, error.stderr[-2000:])) from None


def unavailable(recipe: Recipe, why: str) -> str:
    return (
        f"could not get {', '.join(recipe.packages)} of Debian {recipe.suite}:\n{why}\n"
        "AMIGUARD_TEST_DEBIAN_MIRROR=http://... names another mirror; "
        "AMIGUARD_TESTS_NO_ASTERISK=1 leaves out the tests that need these packages."
    )


def mirror() -> list[str]:
    """Return the Debian mirror to use, as mmdebstrap's argument; empty where only mmdebstrap's default is left."""
    if chosen := os.environ.get("AMIGUARD_TEST_DEBIAN_MIRROR"):
        return [chosen]
    system = platform.freedesktop_os_release()
    if system["ID"] != "debian":
        return []
    # The targets of the main archive of this very release: neither security nor somebody else's repository.
    wanted = f"|{system.get('VERSION_CODENAME', 'sid')}|main"
    targets = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info", "--format=$(REPO_URI)|$(RELEASE)|$(COMPONENT)"],
        check=True,
        capture_output=True,
        text=True,
    )
    uris = [line.removesuffix(wanted) for line in targets.stdout.splitlines() if line.endswith(wanted)]
    return [uri for uri in uris if uri.startswith(("http://", "https://"))][:1]


def main(names: list[str]) -> int:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = {name: pool.submit(chroot, name) for name in names or RECIPES}
    for name, future in made.items():
        try:
            print(name, future.result())
        except ChrootUnavailable as error:
            print(f"{name}: {error}", file=sys.stderr)
    return int(any(future.exception() for future in made.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
