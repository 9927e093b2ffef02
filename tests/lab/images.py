"""Container images made by the real buildah, without a registry: the base is a chroot of Debian."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.chroots import RECIPES, cache, chroot, locked

BASE = "localhost/amiguard-test-base"
SECONDS = 300
LIMITS = {"nofile": 1024, "nproc": 16_384}
"""Less than machines have: some buildahs raise these limits unless told otherwise, which containers may forbid."""
PIP = "[global]\nno-index = true\nfind-links = /wheels\n"


class Buildah:
    """buildah with a storage of its own in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._command = ["buildah", f"--root={folder / 'root'}", f"--runroot={folder / 'run'}"]
        self._command += ["--storage-driver=overlay"]

    def __call__(self, *arguments: str | Path) -> str:
        """Run it, and return what it writes."""
        done = subprocess.run(
            [*self._command, *arguments], check=False, capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == 0, f"buildah {arguments[0]}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    def configuration(self, image: str) -> dict[str, Any]:
        """Return what an image says of itself: Entrypoint, Cmd, Healthcheck and so on."""
        found: dict[str, Any] = json.loads(self("inspect", "--type=image", image))["Docker"]["config"]
        return found

    def size(self, image: str) -> int:
        """Return its bytes on disk, as buildah counts them."""
        found = json.loads(self("images", "--json", image))
        return sum(_bytes(one["size"]) for one in found)

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """Yield a folder with the files of an image, which may be written to."""
        container = self("from", "--pull-never", image)
        try:
            yield Path(self("mount", container))
        finally:
            self("umount", container)
            self("rm", container)


def with_base() -> Buildah:
    """Return a buildah that has the image `BASE`: Debian 12 with Python; it is made where it is not there yet."""
    folder = cache() / f"images-{RECIPES['debian12'].stamp}"
    buildah = Buildah(folder)
    with locked(cache() / "images.lock"):
        if BASE not in buildah("images", "--format={{.Name}}").split():
            container = buildah("from", "scratch")
            buildah("add", "--quiet", container, chroot("debian12"), "/")
            buildah("commit", "--quiet", container, BASE)
            buildah("rm", container)
    return buildah


def build(buildah: Buildah, context: Path, image: str, wheels: Path, folder: Path) -> None:
    """Build an image as `docker build` would; pip takes `wheels`, of which nothing stays behind."""
    pip = folder / "pip.conf"
    pip.write_text(PIP)
    options = ["--isolation=chroot", "--format=docker", f"--build-arg=BASE={BASE}", f"--tag={image}"]
    options += [f"--ulimit={name}={most}:{most}" for name, most in LIMITS.items()]
    options += [f"--volume={wheels}:/wheels:ro", f"--volume={pip}:/etc/pip.conf:ro"]
    buildah("build", *options, context)


def _bytes(text: str) -> int:
    number, unit = text.split()
    return int(float(number) * {"B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}[unit.upper()])
