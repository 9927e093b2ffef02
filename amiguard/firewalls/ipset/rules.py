"""The rules of `chains.py` in nf_tables as iptables-nft would have written them, over netlink, without a program."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from errno import ENOENT

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset.chains import CHAIN, PREROUTING, TABLES, Step, Table, steps
from amiguard.firewalls.ipset.xtables import (
    IPPROTO,
    NF_DROP,
    NFT_JUMP,
    NFT_RETURN,
    NOTHING,
    Found,
    Rule,
    answer,
    delete_chain,
    delete_rules,
    found,
    list_rules,
    new_chain,
    new_rule,
    new_table,
    of_icmp6,
    source_in,
    to_ports,
    verdict,
)
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import NFGENMSG, Message, attributes
from amiguard.firewalls.nftmessages import NFNL_SUBSYS_NFTABLES, NFTA_GEN_ID, get_generation
from amiguard.model import Drops, PortRange


class NetlinkRules:
    """A `Rules` for kernels that have nf_tables and its compatibility with xtables. Needs CAP_NET_ADMIN alone."""

    lacks: Sequence[str] = ()

    def __init__(self, ports: Sequence[PortRange]) -> None:
        self._jumps = [
            Rule([*to_ports(one), *verdict(NFT_JUMP, CHAIN)], IPPROTO[one.protocol]) for one in reversed(ports)
        ] or [Rule(verdict(NFT_JUMP, CHAIN))]
        self._netlink = Netlink(NFNL_SUBSYS_NFTABLES)
        self._generation = b""

    async def lay(self, numbers: Mapping[str, int]) -> None:
        """Write all rules anew in one transaction: no packet passes in between, and what was counted stays counted."""
        messages: list[Message] = []
        for table in TABLES:
            chain = [_rule(step, numbers) for step in steps(table)]
            counted = _sum(await self._rules(table, CHAIN))
            chain[-1] = _rule(steps(table)[-1], numbers, counted)
            messages += [
                new_table(table),
                new_chain(table, PREROUTING, hooked=True),
                new_chain(table, CHAIN),
                delete_rules(table, CHAIN),
                *(new_rule(table, CHAIN, rule) for rule in chain),
                *(delete_rules(table, PREROUTING, jump.handle) for jump in await self._found_jumps(table)),
                *(new_rule(table, PREROUTING, rule, first=True) for rule in self._jumps),
            ]
        await self._netlink.commit(messages)

    async def probe(self) -> None:
        """Have the kernel take a rule of each kind, and forget it in the same transaction.

        Raises:
            FirewallError: it takes none.
        """
        messages: list[Message] = []
        trial, behind = f"{CHAIN}-{os.getpid()}", f"{CHAIN}-{os.getpid()}-2"
        for table in TABLES:
            rules = [Rule([answer(), *verdict(NFT_RETURN)]), Rule(verdict(NFT_JUMP, behind))]
            messages += [new_table(table), new_chain(table, trial), new_chain(table, behind)]
            messages += [new_rule(table, trial, rule) for rule in rules]
            messages += [delete_rules(table, trial), delete_chain(table, trial), delete_chain(table, behind)]
        await self._netlink.commit(messages)

    async def intact(self) -> bool:
        """Whether every table has the jumps, and every rule behind them; asked only where somebody changed anything."""
        generation = await self._current()
        if generation == self._generation:
            return True
        for table in TABLES:
            if len(await self._found_jumps(table)) < len(self._jumps):
                return False
            if len(await self._rules(table, CHAIN)) < len(steps(table)):
                return False
        self._generation = generation
        return True

    async def dropped(self) -> Drops:
        """Tell what the rules of all tables dropped."""
        counts = [_sum(await self._rules(table, CHAIN)) for table in TABLES]
        return Drops(sum(one.packets for one in counts), sum(one.bytes for one in counts))

    async def withdraw(self) -> None:
        """Remove rules and chains; iptables' own tables and chains stay, as iptables leaves them."""
        for table in TABLES:
            removals = [delete_rules(table, PREROUTING, jump.handle) for jump in await self._found_jumps(table)]
            try:
                await self._netlink.commit([*removals, delete_rules(table, CHAIN), delete_chain(table, CHAIN)])
            except FirewallError as error:
                if error.errno != ENOENT:
                    raise

    async def close(self) -> None:
        """Free the socket; the rules stay."""
        await self._netlink.close()

    async def _current(self) -> bytes:
        (answer,) = await self._netlink.ask([get_generation()])
        if isinstance(answer, Refused):
            raise answer
        return dict(attributes(answer[0], NFGENMSG.size))[NFTA_GEN_ID]

    async def _found_jumps(self, table: Table) -> list[Found]:
        return [rule for rule in await self._rules(table, PREROUTING) if rule.chain == CHAIN]

    async def _rules(self, table: Table, chain: str) -> list[Found]:
        try:
            return [found(body) for body in await self._netlink.dump(list_rules(table, chain))]
        except FirewallError as error:
            if error.errno == ENOENT:
                return []
            raise


def _rule(step: Step, numbers: Mapping[str, int], counted: Drops = NOTHING) -> Rule:
    ruling = verdict(NF_DROP if step.drop else NFT_RETURN, counted=counted)
    if step.icmp6:
        return Rule([*of_icmp6(step.icmp6), *ruling], IPPROTO["icmpv6"])
    return Rule([answer() if step.answer else source_in(numbers[step.source_in]), *ruling])


def _sum(rules: Sequence[Found]) -> Drops:
    counts = [rule.counted for rule in rules if rule.verdict == NF_DROP]
    return Drops(sum(one.packets for one in counts), sum(one.bytes for one in counts))
