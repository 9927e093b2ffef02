"""The image that the Dockerfile describes, built and run with the capabilities that deploy/compose gives."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.asterisk import Asterisk
from tests.lab.daemon import ROOT, Daemon, Site
from tests.lab.guarding import guess
from tests.lab.images import BASE, Buildah, build, with_base
from tests.lab.stage import Stage
from tests.lab.waiting import until
from tests.lab.wheels import wheelhouse

pytestmark = [pytest.mark.netns, pytest.mark.timeout(300)]

IMAGE = "localhost/amiguard-test"
ATTACKER = "198.18.0.7"
GUESSER = "10.99.151.1"
FIVE_MINUTES = 300.0
ABOVE_THE_BASE = 120_000_000
USER = 990

RUN = """
root=$1 capabilities=$2
shift 2
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t tmpfs dev "$root/dev"
for node in null urandom; do touch "$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"; done
exec chroot "$root" setpriv --bounding-set="$capabilities" --no-new-privs "$@"
"""
"""What a container runtime does to start a process: its own mounts, the image's files, and a bound on capabilities."""


@pytest.fixture(scope="module")
def buildah(debian12_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """A buildah that has built the image."""
    buildah = with_base()
    build(buildah, ROOT, IMAGE, wheelhouse(), tmp_path_factory.mktemp("build"))
    yield buildah
    buildah("rmi", "--force", IMAGE)


@pytest.fixture(scope="module")
def files(buildah: Buildah) -> Iterator[Path]:
    """The files of the image."""
    with buildah.mounted(IMAGE) as files:
        yield files


@pytest.fixture(scope="module")
def service() -> Any:
    """What deploy/compose says of the container."""
    return yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())["services"]["amiguard"]


def in_container(files: Path, service: Any, command: list[str]) -> list[str | Path]:
    assert service["cap_drop"] == ["ALL"]
    bound = ",".join(["-all", *(f"+{name.lower()}" for name in service["cap_add"])])
    return ["unshare", "--mount", "sh", "-euc", RUN, "sh", files, bound, *command]


async def test_the_container_drops_to_its_user_and_bans_in_the_kernel_of_its_network(
    place: Stage, buildah: Buildah, files: Path, service: Any
) -> None:
    found = buildah.configuration(IMAGE)
    # As the image has them: its own database and its own socket.
    place.site.settings |= {"DATABASE": "", "CONTROL_SOCKET": ""}
    start = ["env", *found["Env"], *found["Entrypoint"], *found["Cmd"]]
    daemon: Daemon = place.site.start(in_container(files, service, start))
    await daemon.told("ami-connected")
    assert daemon.identity() == {"Uid:": str(USER), "Gid:": str(USER), "CapEff:": f"{1 << 12:016x}"}
    assert (files / "run/amiguard/amiguard.sock").is_socket()

    await place.guess(ATTACKER, times=5)
    await daemon.told("ban")
    await until(lambda: [*place.site.kernel()] == [ATTACKER])
    assert not await place.arrives(ATTACKER)

    health = ["env", *found["Env"], *found["Healthcheck"]["Test"][1:]]
    assert found["Healthcheck"]["Test"][0] == "CMD"
    checked = place.namespace.run(in_container(files, service, health))
    assert "ready" in checked.stdout
    assert await daemon.stop() == 0
    assert place.namespace.run(in_container(files, service, health), check=False).returncode == 3


async def test_a_new_user_has_the_first_attacker_of_a_real_asterisk_banned_within_five_minutes(
    asterisk22: Asterisk, buildah: Buildah, service: Any, tmp_path: Path
) -> None:
    image = f"{IMAGE}-new"
    site = Site(asterisk22.server, tmp_path, {"AMI_USERNAME": "secmon", "AMI_SECRET": "secmon-secret"})
    site.settings |= {"DATABASE": "", "CONTROL_SOCKET": ""}
    began = time.monotonic()
    await asyncio.to_thread(build, buildah, ROOT, image, wheelhouse(), tmp_path)
    found = buildah.configuration(image)
    start = ["env", *found["Env"], *found["Entrypoint"], *found["Cmd"]]
    try:
        with buildah.mounted(image) as files:
            daemon = site.start(in_container(files, service, start))
            await daemon.told("ami-connected")
            await guess(asterisk22, GUESSER, 5)
            await until(lambda: [*site.kernel()] == [GUESSER], what="the ban in the kernel")
            took = time.monotonic() - began
            with pytest.raises(TimeoutError):
                await guess(asterisk22, GUESSER, 1)
            assert await daemon.stop() == 0
    finally:
        buildah("rmi", "--force", image)
        asterisk22.server.run(["nft", "flush", "ruleset"])
    print(f"from the Dockerfile to the first ban: {took:.1f} s")
    assert took < FIVE_MINUTES


def test_the_image_has_nothing_that_only_its_making_needs(buildah: Buildah, files: Path) -> None:
    assert buildah.size(IMAGE) - buildah.size(BASE) < ABOVE_THE_BASE
    for path in ("opt/amiguard/bin/amiguard", "usr/bin/setpriv"):
        assert (files / path).exists()
    for extra in ("redis", "maxminddb"):
        assert [*files.glob(f"opt/amiguard/lib/python3*/site-packages/{extra}/__init__.py")], "fleet and countries"
    for path in ("opt/amiguard/bin/pip", "root/.cache", "src", "usr/bin/cc", "usr/bin/gcc"):
        assert not (files / path).exists()
    assert [*files.glob("wheels/*")] == []
    unsafe = subprocess.run(
        ["find", files / "opt/amiguard", "-perm", "/o+w", "!", "-type", "l"], check=True, capture_output=True, text=True
    )
    assert unsafe.stdout == ""


def test_the_configuration_of_the_image_is_that_of_the_documents(buildah: Buildah) -> None:
    found = buildah.configuration(IMAGE)

    assert found["Volumes"] == {"/var/lib/amiguard": {}}
    assert found["Cmd"] == ["run"]
    assert not [variable for variable in found["Env"] if "PIP" in variable]
