"""What pip and distributors get: the wheel and the source archive hold everything that is needed, and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.lab.documents import ROOT
from tests.lab.wheels import wheelhouse

BUILD = "import hatchling.build as b, sys; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"
SERVED = """
import amiguard, json
from amiguard.control.routes.documents import description, page
parts = {name: part.body.decode() for name, part in page().items()}
print(json.dumps({"from": amiguard.__file__, "openapi": json.loads(description()), "page": parts}))
"""
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

    beside = {name.partition(".data/")[2] for name in names if ".data/" in name}
    assert beside == {"data/share/man/man1/amiguard.1"}
    assert {name for name in names if not re.match(r"[^/]+\.(dist-info|data)/", name)} == package()
    assert any(name.endswith("notifiers/templates/ban.html") for name in names)
    assert any(name.endswith("py.typed") for name in names)
    assert "amiguard = amiguard.cli:main" in scripts


def test_the_page_and_the_description_of_the_interface_are_served_from_the_wheel(built: Path, tmp_path: Path) -> None:
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SERVED], check=True, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    served = json.loads(done.stdout)

    assert Path(served["from"]).is_relative_to(tmp_path)
    assert served["openapi"]["paths"]["/api/v1/bans"]
    assert served["page"] == {path.name: path.read_text() for path in (ROOT / "amiguard/control/page").iterdir()}
    named = re.findall(r'"(?:\./|/page/)([a-z.]+)"', "".join(served["page"].values()))
    assert {"main.js", "style.css", "bans.js"} <= {*named} <= served["page"].keys()


def test_the_source_archive_has_what_the_documents_speak_of(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}

    assert package() <= names
    assert {*SHIPPED, "docs/install.md", "deploy/systemd/amiguard.service", "deploy/compose/compose.yaml"} <= names
    assert {"tests/conftest.py", ".ci/packages", "pyproject.toml"} <= names
    assert not {name for name in names if name.startswith((".venv", ".git/", ".mypy_cache")) or "__pycache__" in name}
