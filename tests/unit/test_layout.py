"""The layers are those of the design, and each library is known in one place, so that it can be replaced there."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

KNOWN_IN = {
    "aiohttp": (
        "amiguard/control/",
        "amiguard/feeds/",
        "amiguard/notifiers/whois.py",
        "amiguard/notifiers/webhook/request.py",
        "amiguard/web.py",
    ),
    "aiosmtpd": ("amiguard/demo/mailbox.py",),
    "aiosmtplib": ("amiguard/notifiers/smtp.py",),
    "aiosqlite": ("amiguard/stores/",),
    "asyncinotify": ("amiguard/sources/logfile/watching.py",),
    "dns": ("amiguard/surroundings/dns.py",),
    "dotenv": ("amiguard/settings/places.py",),
    "jinja2": ("amiguard/notifiers/message.py", "amiguard/notifiers/webhook/layout.py"),
    "maxminddb": ("amiguard/geo.py",),
    "panoramisk": ("amiguard/sources/ami/protocol.py",),
    "prometheus_client": ("amiguard/control/metrics.py",),
    "pydantic": ("amiguard/settings/",),
    "pydantic_settings": ("amiguard/settings/model.py",),
    "pyroute2": ("amiguard/firewalls/nftmessages.py", "amiguard/demo/network.py"),
    "redis": ("amiguard/fleet/client.py",),
    "rich": (
        "amiguard/control/display.py",
        "amiguard/demo/show.py",
        "amiguard/migration/progress.py",
        "amiguard/replay/progress.py",
    ),
    "structlog": ("amiguard/logs/journal.py",),
    "typer": ("amiguard/cli/",),
    "typing_extensions": ("amiguard/override.py",),
}


def imported(module: Path) -> Iterator[str]:
    """The packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(module.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_each_library_is_imported_in_its_place_only() -> None:
    found: dict[str, set[str]] = {}
    for module in (ROOT / "amiguard").rglob("*.py"):
        for package in set(imported(module)) - sys.stdlib_module_names - {"amiguard", "_typeshed"}:
            found.setdefault(package, set()).add(str(module.relative_to(ROOT)))

    astray = {
        package: sorted(module for module in modules if not module.startswith(KNOWN_IN.get(package, ())))
        for package, modules in found.items()
    }
    assert {package: modules for package, modules in astray.items() if modules} == {}
    assert found.keys() == KNOWN_IN.keys()


def contracts() -> list[dict[str, Any]]:
    """What import-linter is told: the layers, and what the pure core must not import."""
    found: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    return found


def drawn() -> dict[str, list[set[str]]]:
    """The table of layers in the design: for each row its modules, those that may know the others first."""
    _, _, table = (ROOT / "docs" / "design.md").read_text().partition("| layer | modules | may know |\n|---|---|---|\n")
    rows = [row.strip("| ").split(" | ") for row in table.partition("\n\n")[0].splitlines()]
    return {layer: [set(re.findall(r"`(\w+)`", group)) for group in modules.split("→")] for layer, modules, _ in rows}


def test_the_design_draws_the_layers_that_are_enforced() -> None:
    layers, _ = contracts()
    _main, *enforced = [set(layer.split(" | ")) for layer in layers["layers"]]

    assert [group for groups in drawn().values() for group in groups] == enforced


def test_all_of_the_pure_core_is_kept_pure() -> None:
    _, pure = contracts()

    assert {f"amiguard.{module}" for group in drawn()["pure core"] for module in group} <= set(pure["source_modules"])
