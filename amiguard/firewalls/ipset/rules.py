"""The rules of `chains.py` in nf_tables as iptables-nft would have written them, over netlink, without a program."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from errno import ENOENT

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset.chains import CHAIN, Step, Table, other_tables, steps, sums, tables
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

    def __init__(self, treatment: Treatment, feeds: Sequence[str] = (), lacks: Sequence[str] = ()) -> None:
        self.lacks = lacks
        self._ports = treatment.ports
        self._answers_pass = treatment.answers_pass
        self._feeds = feeds
        self._names: Mapping[int | None, str] = {}
        """What the sets are called that rules look up, by their numbers."""
        self._tables = tables(treatment.verdict)
        self._others = other_tables(treatment.verdict)
        self._netlink = Netlink(NFNL_SUBSYS_NFTABLES)
        self._generation = b""

    async def lay(self, numbers: Mapping[str, int]) -> None:
        """Write all rules anew in one transaction: no packet passes in between, and what was counted stays counted.

        Only then those are removed that stand elsewhere, of another verdict."""
        self._names = {number: name for name, number in numbers.items()}
        messages: list[Message] = []
        for table in self._tables:
            chain = self._chain(table, numbers, await self._counted(table))
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
        """Have the kernel take a rule of each kind but those that look up a set, and forget it in the same transaction.

        Raises:
            FirewallError: it does not take them all.
        """
        messages: list[Message] = []
        trial, behind = f"{CHAIN}-{os.getpid()}", f"{CHAIN}-{os.getpid()}-2"
        for table in self._tables:
            rules = self._jumps(table, behind)
            rules += [_rule(table, step, {}) for step in self._steps(table) if not step.source_in]
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
            if len(await self._rules(table, CHAIN)) < len(self._steps(table)):
                return False
        self._generation = generation
        return True

    async def dropped(self) -> Mapping[str, Drops]:
        """Tell what the rules of all tables dropped or rejected, by the name of the set."""
        return sums([one for table in self._tables for one in (await self._counted(table)).items()])

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

    def _chain(self, table: Table, numbers: Mapping[str, int], counted: dict[str, Drops]) -> list[Rule]:
        """Return the rules behind the jumps. The last one about a set takes over what those about it counted, and the
        last one of all what was counted for sets that are gone."""
        wanted = self._steps(table)
        last = wanted[-1].source_in
        gone = counted.keys() - {step.source_in for step in wanted if step.ruling != "return"}
        counted = sums((last if name in gone else name, one) for name, one in counted.items())
        backwards = []
        for step in reversed(wanted):
            before = NOTHING if step.ruling == "return" else counted.pop(step.source_in, NOTHING)
            backwards.append(_rule(table, step, numbers, before))
        return backwards[::-1]

    async def _counted(self, table: Table) -> dict[str, Drops]:
        """Return what the rules of a table refused, by the name of the set."""
        rules = await self._rules(table, CHAIN)
        return sums((self._names.get(rule.set, ""), rule.counted) for rule in rules if rule.refuses)

    async def _current(self) -> bytes:
        (answer,) = await self._netlink.ask([get_generation()])
        if isinstance(answer, Refused):
            raise answer
        return dict(attributes(answer[0], NFGENMSG.size))[NFTA_GEN_ID]

    def _steps(self, table: Table) -> list[Step]:
        return steps(table, self._feeds, answers_pass=self._answers_pass)

    def _jumps(self, table: Table, chain: str = CHAIN) -> list[Rule]:
        """Return the rules that lead to the chain."""
        jump = verdict(NFT_JUMP, chain)
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
