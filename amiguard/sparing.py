"""Imports of a library only what is used of it: the rest costs memory for as long as the daemon runs, and time at its
start. `docs/performance.md` says how much."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec

ARCHIVES = ("bz2", "lzma")
"""What shutil unpacks archives with, which many import for something else."""


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Let what is imported meanwhile find `modules` missing, which a library can do without; unless they are there."""
    missing = [module for module in modules if module not in sys.modules]
    for module in missing:
        sys.modules[module] = None  # type: ignore[assignment]  # how Python itself marks what is not to be imported
    try:
        yield
    finally:
        for module in missing:
            del sys.modules[module]


@contextmanager
def without_init(package: str) -> Iterator[None]:
    """Let modules of `package` be imported meanwhile that don't need what its `__init__` imports; unless it is there.

    Afterwards the package can be imported as a whole, and shares these modules."""
    spec = find_spec(package)
    if package in sys.modules or spec is None:
        yield
        return
    sys.modules[package] = module_from_spec(spec)
    try:
        yield
    finally:
        del sys.modules[package]
