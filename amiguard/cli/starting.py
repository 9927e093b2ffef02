"""Starts the daemon, importing nothing that it would then keep for nothing."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from amiguard.errors import SettingsError
from amiguard.settings import PREFIX
from amiguard.settings.apart import Checking

FIREWALL, USUAL = f"{PREFIX}FIREWALL", "nftables"


def start(env_file: Path | None = None) -> int:
    """Run the daemon until a signal says stop; return its exit code."""
    try:
        checking = Checking(env_file)
        from amiguard.daemon import run  # while the settings are being checked

        if os.environ.get(FIREWALL, USUAL) == USUAL:  # nearly everybody's, and a tenth of a start
            import_module(f"amiguard.firewalls.{USUAL}")
        settings = checking.result()
    except SettingsError as error:
        from amiguard.cli.speaking import WRONG, complain

        for problem in error.problems:
            complain(problem)
        return WRONG
    return run(settings, env_file)
