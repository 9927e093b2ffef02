"""What is left out of an import costs nothing, and is there for whoever wants it later."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_daemon_imports_neither_rich_nor_the_whole_of_pyroute2_nor_what_unpacks_archives() -> None:
    loaded = run(
        "import sys, amiguard.daemon, amiguard.firewalls.nftables, amiguard.notifiers.mail\n"
        "unused = {'rich', 'pyroute2', 'pyroute2.iproute', 'bz2', 'lzma', 'typing_extensions'}\n"
        "print(sorted(unused & sys.modules.keys()))"
    )

    assert loaded == "[]\n"


def test_what_was_left_out_can_be_imported_afterwards() -> None:
    found = run(
        "import amiguard.logs, amiguard.firewalls.nftmessages as before\n"
        "import rich.table, pyroute2, bz2, lzma\n"
        "from pyroute2.netlink.nfnetlink import nftsocket\n"
        "print(rich.table.Table.__name__, pyroute2.IPRoute.__name__, nftsocket is before.nftsocket)"
    )

    assert found == "Table IPRoute True\n"


def test_what_is_there_already_is_left_alone() -> None:
    found = run(
        "import sys, rich, pyroute2\n"
        "import amiguard.logs, amiguard.firewalls.nftmessages\n"
        "print(sys.modules['rich'] is rich, sys.modules['pyroute2'] is pyroute2)"
    )

    assert found == "True True\n"
