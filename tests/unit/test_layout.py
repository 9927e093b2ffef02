"""Each library is known in one place, so that it can be replaced there."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

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
