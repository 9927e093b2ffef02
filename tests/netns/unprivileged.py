"""`unprivileged.py none|net-admin ADDRESS` becomes uid 65534, with no capability or CAP_NET_ADMIN alone, and bans.

It prints a line for each call: `done`, or the FirewallError's number and text. Nothing is imported after the change of
user, whom the folders may not let in."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import sys
from collections.abc import Awaitable
from pathlib import Path

from amiguard.errors import FirewallError
from amiguard.firewalls.nftables import Nftables, probe
from amiguard.model import Ban, Reason, Target

NOBODY = 65534
PR_SET_KEEPCAPS = 8
LINUX_CAPABILITY_VERSION_3 = 0x20080522
CAP_NET_ADMIN = 1 << 12


def become_nobody(capabilities: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_KEEPCAPS, int(capabilities != 0), 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    header = struct.pack("=Ii", LINUX_CAPABILITY_VERSION_3, 0)
    if libc.capset(header, struct.pack("=6I", capabilities, capabilities, 0, 0, 0, 0)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


async def outcome(call: Awaitable[object]) -> str:
    try:
        await call
    except FirewallError as error:
        return f"{error.errno} {error}"
    return "done"


async def try_to_ban(address: str) -> None:
    firewall = Nftables()
    print(await outcome(probe()))
    print(await outcome(firewall.start([Target("127.0.0.0/8")], [], 0)))
    print(await outcome(firewall.ban([Ban(Target(address), 0, None, Reason.MANUAL)], 0)))
    print(await outcome(firewall.unban([Target("203.0.113.5")])))
    await firewall.close()


def main() -> None:
    capabilities, address = sys.argv[1:]
    become_nobody(CAP_NET_ADMIN if capabilities == "net-admin" else 0)
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    print(os.getuid(), int(effective, 16))
    asyncio.run(try_to_ban(address))


if __name__ == "__main__":
    main()
