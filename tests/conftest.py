"""The real servers of the tests. Their chroots are made before the first test, so that no test's time-out covers it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.lab.asterisk import Asterisk, running
from tests.lab.chroots import RECIPES, ChrootUnavailable, chroot, place

LEAVE_OUT = "AMIGUARD_TESTS_NO_ASTERISK"
MARKED = {"asterisk": ("asterisk16", "asterisk22"), "redis": ("servers",), "valkey": ("valkey",)}
NEED_ROOT = {"netns", "asterisk", "browser"}

settings.register_profile("untimed", deadline=None)  # a busy machine makes an example slow, not wrong
settings.load_profile("untimed")
settings.register_profile("long", max_examples=20_000)
"""For a search of ten minutes or more by hand: `pytest --hypothesis-profile=long --timeout=0 tests/property/...`."""

unavailable: dict[str, str] = {}
left_out = pytest.StashKey[list[str]]()


def chroots_of(item: pytest.Item) -> set[str]:
    """Return the names of the chroots that a test may use: its mark tells, or the fixtures below."""
    named = {name for name in RECIPES if f"{name}_root" in getattr(item, "fixturenames", ())}
    return named.union(*(MARKED.get(mark.name, ()) for mark in item.iter_markers()))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash[left_out] = []
    if os.environ.get(LEAVE_OUT) != "1":
        return
    dropped = [item for item in items if chroots_of(item)]
    config.stash[left_out] = [item.nodeid for item in dropped]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if not chroots_of(item)]


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly:
        return
    for name in sorted(set().union(*map(chroots_of, session.items))):
        if not place(name).exists():
            session.config.get_terminal_writer().line(f"making the chroot {name}: about a minute, once")
        try:
            chroot(name)
        except ChrootUnavailable as error:
            unavailable[name] = str(error)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    names = config.stash.get(left_out, [])
    if names:
        terminalreporter.section(f"NOT RUN: {len(names)} tests with real servers", red=True, bold=True)
        for name in names:
            terminalreporter.line(name, red=True)
        terminalreporter.line(f"{LEAVE_OUT}=1 left them out; nothing above says anything about them.", red=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    needed = NEED_ROOT.intersection(mark.name for mark in item.iter_markers())
    if needed and os.geteuid() != 0:
        pytest.fail(f"{min(needed)} tests need root: sudo make test", pytrace=False)


def ready(name: str) -> Path:
    if name in unavailable:
        pytest.fail(unavailable[name], pytrace=False)
    return chroot(name)


@pytest.fixture(scope="session")
def asterisk22_root() -> Path:
    """The files of the current Asterisk."""
    return ready("asterisk22")


@pytest.fixture(scope="session")
def asterisk16_root() -> Path:
    """The files of the last Debian Asterisk with chan_sip."""
    return ready("asterisk16")


@pytest.fixture(scope="session")
def chromium_root() -> Path:
    """The files of Chromium."""
    return ready("chromium")


@pytest.fixture(scope="session")
def debian12_root() -> Path:
    """The files of a Debian 12 with systemd and Python."""
    return ready("debian12")


@pytest.fixture(scope="session")
def servers_root() -> Path:
    """The files of the servers that amiguard works beside."""
    return ready("servers")


@pytest.fixture(scope="session")
def docker_root() -> Path:
    """The files of Docker."""
    return ready("docker")


@pytest.fixture(scope="session")
def asterisk22(asterisk22_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asterisk]:
    """Asterisk 22 with PJSIP."""
    with running(asterisk22_root, "pjsip", tmp_path_factory.mktemp("asterisk22")) as asterisk:
        yield asterisk


@pytest.fixture(scope="session")
def asterisk16(asterisk16_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asterisk]:
    """Asterisk 16 with chan_sip."""
    with running(asterisk16_root, "sip", tmp_path_factory.mktemp("asterisk16")) as asterisk:
        yield asterisk


@pytest.fixture(scope="session")
def asterisk16_pjsip(asterisk16_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asterisk]:
    """Asterisk 16 with PJSIP."""
    with running(asterisk16_root, "pjsip", tmp_path_factory.mktemp("asterisk16-pjsip")) as asterisk:
        yield asterisk
