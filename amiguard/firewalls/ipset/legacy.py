"""The rules of `chains.py` in iptables-legacy, whose kernel interface only its own programs speak.

They are started at the start of amiguard, when it repairs, and when somebody asks for totals; never for a ban."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from errno import ENOENT
from subprocess import PIPE, STDOUT

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset.chains import CHAIN, PREROUTING, TABLES, Step, Table, steps
from amiguard.model import Drops, PortRange

PROGRAM = {4: "iptables-legacy", 6: "ip6tables-legacy"}
PATIENCE = 10.0
"""Seconds that a program gets; it waits for others that hold iptables' lock."""
WAIT = "5"
COUNTED = re.compile(rf"^\[(\d+):(\d+)\] -A {CHAIN} .*-j DROP$", re.MULTILINE)


class LegacyRules:
    """A `Rules` for kernels without nf_tables. Needs CAP_NET_ADMIN and CAP_NET_RAW, and iptables' programs."""

    lacks: Sequence[str] = (
        "nf_tables: if somebody deletes amiguard's rules from iptables-legacy, that is not noticed",
    )

    def __init__(self, ports: Sequence[PortRange]) -> None:
        self._ports = ports

    async def lay(self, numbers: Mapping[str, int]) -> None:
        """Write each table at once; jumps that are there already stay as they are."""
        del numbers  # iptables-legacy knows sets by name
        for table in TABLES:
            jumps = [jump for jump in self._jumps() if not await _has(table, jump)]
            lines = [
                f"*{table.name}",
                f":{CHAIN} - [0:0]",
                *(f"-A {CHAIN} {_words(step)}" for step in steps(table)),
                *(f"-I {PREROUTING} {jump}" for jump in jumps),
                "COMMIT\n",
            ]
            restore = [f"{PROGRAM[table.version]}-restore", "--noflush", "--wait", WAIT]
            await _run(restore, "\n".join(lines))

    async def intact(self) -> bool:
        """Return True: only a program could tell, and none is started again and again."""
        return True

    async def dropped(self) -> Drops:
        """Tell what the rules of all tables dropped."""
        packets = size = 0
        for table in TABLES:
            saved = await _run([f"{PROGRAM[table.version]}-save", "-c", "-t", table.name])
            for match in COUNTED.finditer(saved):
                packets += int(match[1])
                size += int(match[2])
        return Drops(packets, size)

    async def withdraw(self) -> None:
        """Remove rules and chains."""
        for table in TABLES:
            base = [PROGRAM[table.version], "--wait", WAIT, "-t", table.name]
            for jump in self._jumps():
                if await _has(table, jump):
                    await _run([*base, "-D", PREROUTING, *jump.split()])
            await _run([*base, "-F", CHAIN])
            await _run([*base, "-X", CHAIN])

    async def close(self) -> None:
        """Do nothing: nothing is open."""

    def _jumps(self) -> list[str]:
        return [f"-p {one.protocol} -m {one.protocol} --dport {_range(one)} -j {CHAIN}" for one in self._ports] or [
            f"-j {CHAIN}"
        ]


def _range(ports: PortRange) -> str:
    return str(ports.first) if ports.first == ports.last else f"{ports.first}:{ports.last}"


def _words(step: Step) -> str:
    ruling = "DROP" if step.drop else "RETURN"
    if step.icmp6:
        return f"-p ipv6-icmp -m icmp6 --icmpv6-type {step.icmp6} -j {ruling}"
    if step.answer:
        return f"-m conntrack --ctstate ESTABLISHED,RELATED --ctdir REPLY -j {ruling}"
    return f"-m set --match-set {step.source_in} src -j {ruling}"


async def _has(table: Table, jump: str) -> bool:
    saved = await _run([f"{PROGRAM[table.version]}-save", "-t", table.name])
    return f"-A {PREROUTING} {jump}" in saved.splitlines()


async def _run(command: Sequence[str], text: str = "") -> str:
    """Run a program of iptables to its end and return what it says.

    Raises:
        FirewallError: it is missing, fails, or does not end.
    """
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    except OSError as error:
        raise FirewallError(f"{command[0]} can't be started: {error.strerror}", error.errno or ENOENT) from error
    try:
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate(text.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise FirewallError(f"{command[0]} did not end within {PATIENCE} s") from None
    if process.returncode:
        raise FirewallError(f"{command[0]}: {said.decode(errors='replace').strip()[:500]}", os.EX_OSERR)
    return said.decode(errors="replace")
