"""A user without rights, and a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

STRANGER = 54_321


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """Be a user without any right for the time of a test; the path is a folder that belongs to it."""
    if os.geteuid() != 0:
        pytest.fail("this needs root: sudo make test", pytrace=False)
    with TemporaryDirectory(prefix="amiguard-test-") as folder:
        os.chown(folder, STRANGER, STRANGER)
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(STRANGER)
        os.seteuid(STRANGER)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
