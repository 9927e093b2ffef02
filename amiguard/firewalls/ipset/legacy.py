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
from amiguard.firewalls.ipset.chains import CHAIN, Step, Table, other_tables, steps, sums, tables
from amiguard.firewalls.treatment import Treatment
from amiguard.model import Drops, PortRange

PROGRAM = {4: "iptables-legacy", 6: "ip6tables-legacy"}
PATIENCE = 10.0
"""Seconds that a program gets; it waits for others that hold iptables' lock."""
WAIT = "5"
COUNTED = re.compile(
    rf"^\[(\d+):(\d+)\] -A {CHAIN} .*--match-set (\S+) src -j (?:DROP|REJECT.*)$",
    re.MULTILINE,
)
RULINGS = {
    "return": "-j RETURN",
    "drop": "-j DROP",
    "reset": "-p tcp -j REJECT --reject-with tcp-reset",
    "reject": "-j REJECT",
}


class LegacyRules:
    """A `Rules` for kernels without nf_tables. Needs CAP_NET_ADMIN and CAP_NET_RAW, and iptables' programs."""

    lacks: Sequence[str] = (
        "nf_tables: if somebody deletes amiguard's rules from iptables-legacy, that is not noticed",
    )

    def __init__(self, treatment: Treatment, feeds: Sequence[str] = ()) -> None:
        self._ports = treatment.ports
        self._answers_pass = treatment.answers_pass
        self._feeds = feeds
        self._tables = tables(treatment.verdict)
        self._others = other_tables(treatment.verdict)

    async def lay(self, numbers: Mapping[str, int]) -> None:
        """Write each table anew at once, and only then remove those that stand elsewhere, of another verdict."""
        del numbers  # iptables-legacy knows sets by name
        for table in self._tables:
            lines = [
                f"*{table.name}",
                f":{CHAIN} - [0:0]",
                *(f"-A {CHAIN} {_words(step)}" for step in steps(table, self._feeds, answers_pass=self._answers_pass)),
                *(f"-D {jump}" for jump in _jumps_in(await _saved(table))),
                *(f"-I {chain} {jump}" for chain in table.chains for jump in reversed(self._jumps(table))),
                "COMMIT\n",
            ]
            restore = [f"{PROGRAM[table.version]}-restore", "--noflush", "--wait", WAIT]
            await _run(restore, "\n".join(lines))
        for table in self._others:
            await self._remove(table)

    async def intact(self) -> bool:
        """Return True: only a program could tell, and none is started again and again."""
        return True

    async def dropped(self) -> Mapping[str, Drops]:
        """Tell what the rules of all tables dropped, by the name of the set."""
        counted: list[tuple[str, Drops]] = []
        for table in self._tables:
            found = COUNTED.finditer("\n".join(await _saved(table, "-c")))
            counted += [(match[3], Drops(int(match[1]), int(match[2]))) for match in found]
        return sums(counted)

    async def withdraw(self) -> None:
        """Remove rules and chains."""
        for table in self._tables:
            await self._remove(table)

    async def _remove(self, table: Table) -> None:
        """Remove all that leads to the chain, and the chain."""
        saved = await _saved(table)
        if not any(line.startswith(f":{CHAIN} ") for line in saved):
            return
        lines = [
            f"*{table.name}",
            *(f"-D {jump}" for jump in _jumps_in(saved)),
            f"-F {CHAIN}",
            f"-X {CHAIN}",
            "COMMIT\n",
        ]
        await _run([f"{PROGRAM[table.version]}-restore", "--noflush", "--wait", WAIT], "\n".join(lines))

    async def close(self) -> None:
        """Do nothing: nothing is open."""

    def _jumps(self, table: Table) -> list[str]:
        """Return the rules that lead to the chain, as `iptables-legacy-save` writes them."""
        return [
            f"-p {one.protocol} {matches} -j {CHAIN}"
            for one in self._ports
            for matches in (_named(one) if table.behind_dnat else [f"-m {one.protocol} --dport {_range(one)}"])
        ] or [f"-j {CHAIN}"]


def _named(ports: PortRange) -> list[str]:
    """Return matches of which one holds where the sender named these ports, also behind DNAT; see `xtables.py`."""
    named = _range(ports)
    return [
        f"-m conntrack --ctorigdstport {named} --ctdir ORIGINAL",
        f"-m conntrack --ctrepldstport {named} --ctdir REPLY",
        f"-m {ports.protocol} --dport {named} -m conntrack --ctstate INVALID,UNTRACKED",
    ]


def _range(ports: PortRange) -> str:
    return str(ports.first) if ports.first == ports.last else f"{ports.first}:{ports.last}"


def _jumps_in(saved: Sequence[str]) -> list[str]:
    """Return the rules that lead to the chain, each with the chain that it stands in."""
    return [line.removeprefix("-A ") for line in saved if line.endswith(f" -j {CHAIN}")]


def _words(step: Step) -> str:
    if step.icmp6:
        whom = f"-p ipv6-icmp -m icmp6 --icmpv6-type {step.icmp6}"
    elif step.answer:
        whom = "-m conntrack --ctstate ESTABLISHED,RELATED --ctdir REPLY"
    else:
        whom = f"-m set --match-set {step.source_in} src"
    return f"{whom} {RULINGS[step.ruling]}"


async def _saved(table: Table, *options: str) -> list[str]:
    said = await _run([f"{PROGRAM[table.version]}-save", *options, "-t", table.name])
    return said.splitlines()


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
