"""Reads Asterisk's configuration files with all that they include, for `amiguard check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from amiguard.asterisk.conf import Conf, Setting, settings_of
from amiguard.sources.logfile.opening import unreadable

ETC = Path("/etc/asterisk")
DEEPEST = 10
"""How deep files may include one another; one that includes itself ends there."""


def read_conf(folder: Path, name: str) -> Conf | None:
    """Return what the file says; None where there is none.

    Raises:
        SourceError: it can't be read; the text says why.
    """
    path = folder / name
    try:
        return Conf(str(path), list(_read(folder, path, DEEPEST)))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error) from error


def _read(folder: Path, path: Path, depth: int, section: str = "") -> Iterator[Setting]:
    for setting in settings_of(path.read_text(errors="replace"), str(path), section):
        if setting.name != "#include":
            yield setting
        elif depth:
            for included in _matching(folder, setting.value):
                yield from _read(folder, included, depth - 1, setting.section)


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Return what an `#include` names: relative to the folder, and with wildcards."""
    try:
        return sorted(found for found in folder.glob(pattern.removeprefix(f"{folder}/")) if found.is_file())
    except (ValueError, NotImplementedError):  # no pattern, or one for another folder
        return []
