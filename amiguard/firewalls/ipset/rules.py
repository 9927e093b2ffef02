"""The rules of `chains.py` in nf_tables as iptables-nft would have written them, over netlink, without a program."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from errno import ENOENT

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset.chains import CHAIN, Step, Table, other_tables, steps, tables
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
    rejection,
    source_in,
    to_named_ports,
    to_ports,
    verdict,
)
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import NFGENMSG, Message, attributes
from amiguard.firewalls.nftmessages import NFNL_SUBSYS_NFTABLES, NFTA_GEN_ID, get_generation
from amiguard.firewalls.treatment import Treatment
from amiguard.model import Drops


class NetlinkRules:
    """A `Rules` for kernels that have nf_tables and its compatibility with xtables. Needs CAP_NET_ADMIN alone."""

    lacks: Sequence[str] = ()

    def __init__(self, treatment: Treatment) -> None:
        self._ports = treatment.ports
        self._tables = tables(treatment.verdict)
        self._others = other_tables(treatment.verdict)
        self._netlink = Netlink(NFNL_SUBSYS_NFTABLES)
        self._generation = b""

    async def lay(self, numbers: Mapping[str, int]) -> None:
        """Write all rules anew in one transaction: no packet passes in between, and what was counted stays counted.

        Only then those are removed that stand elsewhere, of another verdict."""
        messages: list[Message] = []
        for table in self._tables:
            chain = [_rule(table, step, numbers) for step in steps(table)]
            counted = _sum(await self._rules(table, CHAIN))
            chain[-1] = _rule(table, steps(table)[-1], numbers, counted)
            messages += [
                new_table(table),
                *(new_chain(table, one) for one in (*table.chains, CHAIN)),
                delete_rules(table, CHAIN),
                *(new_rule(table, CHAIN, rule) for rule in chain),
            ]
            for one in table.chains:
                messages += [delete_rules(table, one, jump.handle) for jump in await self._found_jumps(table, one)]
                messages += [new_rule(table, one, rule, first=True) for rule in reversed(self._jumps(table))]
        await self._netlink.commit(messages)
        for table in self._others:
            await self._remove(table)

    async def probe(self) -> None:
        """Have the kernel take a rule of each kind, and forget it in the same transaction.

        Raises:
            FirewallError: it takes none.
        """
        messages: list[Message] = []
        trial, behind = f"{CHAIN}-{os.getpid()}", f"{CHAIN}-{os.getpid()}-2"
        for table in self._tables:
            rules = [Rule([answer(), *verdict(NFT_RETURN)]), Rule(verdict(NFT_JUMP, behind))]
            if table.behind_dnat:
                rules += [_refusal(table, "reset", NOTHING), _refusal(table, "reject", NOTHING)]
            messages += [new_table(table), new_chain(table, trial), new_chain(table, behind)]
            messages += [new_rule(table, trial, rule) for rule in rules]
            messages += [delete_rules(table, trial), delete_chain(table, trial), delete_chain(table, behind)]
        await self._netlink.commit(messages)

    async def intact(self) -> bool:
        """Whether every table has the jumps, and every rule behind them; asked only where somebody changed anything."""
        generation = await self._current()
        if generation == self._generation:
            return True
        for table in self._tables:
            wanted = len(self._jumps(table))
            for chain in table.chains:
                rules = await self._rules(table, chain)
                looked_at = rules[:wanted] if table.behind_dnat else rules
                if sum(rule.chain == CHAIN for rule in looked_at) < wanted:
                    return False
            if len(await self._rules(table, CHAIN)) < len(steps(table)):
                return False
        self._generation = generation
        return True

    async def dropped(self) -> Drops:
        """Tell what the rules of all tables dropped or rejected."""
        counts = [_sum(await self._rules(table, CHAIN)) for table in self._tables]
        return Drops(sum(one.packets for one in counts), sum(one.bytes for one in counts))

    async def withdraw(self) -> None:
        """Remove rules and chains; iptables' own tables and chains stay, as iptables leaves them."""
        for table in self._tables:
            await self._remove(table)

    async def _remove(self, table: Table) -> None:
        jumps = [
            delete_rules(table, chain, jump.handle)
            for chain in table.chains
            for jump in await self._found_jumps(table, chain)
        ]
        try:
            await self._netlink.commit([*jumps, delete_rules(table, CHAIN), delete_chain(table, CHAIN)])
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

    def _jumps(self, table: Table) -> list[Rule]:
        """Return the rules that lead to the chain."""
        jump = verdict(NFT_JUMP, CHAIN)
        return [
            Rule([*matches, *jump], IPPROTO[one.protocol])
            for one in self._ports
            for matches in (to_named_ports(one) if table.behind_dnat else [to_ports(one)])
        ] or [Rule(jump)]

    async def _found_jumps(self, table: Table, chain: str) -> list[Found]:
        return [rule for rule in await self._rules(table, chain) if rule.chain == CHAIN]

    async def _rules(self, table: Table, chain: str) -> list[Found]:
        try:
            return [found(body) for body in await self._netlink.dump(list_rules(table, chain))]
        except FirewallError as error:
            if error.errno == ENOENT:
                return []
            raise


def _rule(table: Table, step: Step, numbers: Mapping[str, int], counted: Drops = NOTHING) -> Rule:
    if step.icmp6:
        return Rule([*of_icmp6(step.icmp6), *verdict(NFT_RETURN)], IPPROTO["icmpv6"])
    whom = answer() if step.answer else source_in(numbers[step.source_in])
    if step.ruling == "return":
        return Rule([whom, *verdict(NFT_RETURN)])
    refusal = _refusal(table, step.ruling, counted)
    return Rule([whom, *refusal.expressions], refusal.protocol)


def _refusal(table: Table, ruling: str, counted: Drops) -> Rule:
    if ruling == "drop":
        return Rule(verdict(NF_DROP, counted=counted))
    return Rule(rejection(table.version, ruling, counted), IPPROTO["tcp"] if ruling == "reset" else 0)


def _sum(rules: Sequence[Found]) -> Drops:
    counts = [rule.counted for rule in rules if rule.refuses]
    return Drops(sum(one.packets for one in counts), sum(one.bytes for one in counts))
