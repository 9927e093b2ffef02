"""What pip and distributors get: the wheel and the source archive hold everything that is needed, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.lab.documents import ROOT
from tests.lab.wheels import wheelhouse

BUILD = "import hatchling.build as b, sys; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"
SHIPPED = ("CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "Dockerfile", "Makefile", "constraints.txt")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and a source archive."""
    folder, backend = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("backend")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", f"--find-links={wheelhouse()}"]
    subprocess.run([*install, f"--target={backend}", "hatchling"], check=True, timeout=120)
    environment = os.environ | {"PYTHONPATH": str(backend)}
    subprocess.run([sys.executable, "-c", BUILD, folder], check=True, cwd=ROOT, env=environment, timeout=120)
    return folder


def package() -> set[str]:
    """Return every file of the package: code, templates, pages, schemas."""
    found = (path for path in (ROOT / "amiguard").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(ROOT)) for path in found}


def test_the_wheel_is_the_package_and_its_data(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [entry] = [name for name in names if name.endswith("entry_points.txt")]
        scripts = archive.read(entry).decode()

    assert {name for name in names if ".dist-info/" not in name} == package()
    assert any(name.endswith("notifiers/templates/ban.html") for name in names)
    assert any(name.endswith("py.typed") for name in names)
    assert "amiguard = amiguard.cli:main" in scripts


def test_the_source_archive_has_what_the_documents_speak_of(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}

    assert package() <= names
    assert {*SHIPPED, "docs/install.md", "deploy/systemd/amiguard.service", "deploy/compose/compose.yaml"} <= names
    assert {"tests/conftest.py", ".ci/packages", "pyproject.toml"} <= names
    assert not {name for name in names if name.startswith((".venv", ".git/", ".mypy_cache")) or "__pycache__" in name}
