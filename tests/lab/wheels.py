"""All that amiguard needs, as wheels for Debian 12, so that it can be installed where no package index is reachable.

Kept beside the chroots; whoever has the folder gets the same versions as `constraints.txt` names."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.lab.chroots import cache, locked

ROOT = Path(__file__).parents[2]
PYTHON = "3.11"
"""That of Debian 12."""

GLIBC = ("2_28", "2_17")
SECONDS = 300


def wheelhouse() -> Path:
    """Return the folder of wheels; fills it first where it is not there yet, from this machine's package index."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    wanted += [*extras["fleet"], *extras["geo"], "async-timeout"]  # which redis needs on Debian 12's 3.11.2
    constraints = ROOT / "constraints.txt"
    stamp = hashlib.sha256(repr((wanted, PYTHON, GLIBC)).encode() + constraints.read_bytes()).hexdigest()[:12]
    ready = cache() / f"wheels-{stamp}"
    with locked(cache() / "wheels.lock"):
        if not ready.exists():
            part = ready.with_name("wheels-part")
            shutil.rmtree(part, ignore_errors=True)
            platforms = [f"--platform=manylinux_{version}_{platform.machine()}" for version in GLIBC]
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            command += ["--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp", *platforms]
            command += [f"--dest={part}", f"--constraint={constraints}", *wanted]
            done = subprocess.run(command, check=False, timeout=SECONDS, capture_output=True, text=True)
            if done.returncode:
                raise AssertionError(f"the wheels could not be had:\n{done.stderr[-2000:]}")
            part.rename(ready)
    return ready
