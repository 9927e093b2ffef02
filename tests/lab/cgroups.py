"""Control groups that tests make, and take away again."""

from __future__ import annotations

from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Return the roots of all control groups: one since version 2, several before."""
    return [CGROUPS] if _is_group(CGROUPS) else [*filter(_is_group, CGROUPS.iterdir())]


def gone(group: Path) -> bool:
    """Remove a group with all that are in it, if no process is; tell whether it is no longer there."""
    try:
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        if group.exists():
            group.rmdir()
    except OSError:
        return False
    return True


def _is_group(path: Path) -> bool:
    return (path / "cgroup.procs").exists()
