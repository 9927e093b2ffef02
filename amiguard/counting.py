"""What of a failure all nodes of the fleet count together, and what comes of it here.

By the rules of this node: a network and an account count as `rules/networks.py` and `rules/accounts.py` say."""

from __future__ import annotations

from amiguard.allowlist import Allowlist
from amiguard.enforcement import Enforcement
from amiguard.judge import Judge
from amiguard.model import Failure
from amiguard.nodes import Crowd, Fleet, Observation, Totals
from amiguard.rules.accounts import account_exists
from amiguard.rules.networks import is_offender


class Counting:
    """Stands between the judge and the fleet."""

    def __init__(self, fleet: Fleet, enforcement: Enforcement, allowlist: Allowlist, judge: Judge) -> None:
        self._fleet = fleet
        self._enforcement = enforcement
        self._allowlist = allowlist
        self._judge = judge

    def observe(self, failure: Failure) -> None:
        """Have the fleet count a stranger's failure. Not in a dry run: one node hears of one too many, and bans."""
        if not self._enforcement.firewall.enforces:
            return
        rules, address = self._judge.rules, failure.address
        if self._allowlist.covers(address) or rules.presence.knows(address, failure.at):
            return
        banned, policy, networks = self._enforcement.holds(address), rules.policy, rules.networks
        limit = rules.accounts.limit(failure.account, failure.at) if rules.accounts is not None else None
        maxretry = 0 if banned else min(policy.maxretry, limit or policy.maxretry)
        most, network, account = networks.most(address), None, None
        if most:
            network = Crowd(networks.network(address), most, policy.networks.findtime)
        if policy.spread is not None and account_exists(failure):
            account = Crowd(failure.account, policy.spread.addresses, policy.spread.findtime)
        at_once = is_offender(failure, banned=banned)
        if maxretry or (network and at_once) or account:
            self._fleet.observe(Observation(failure, policy.findtime, maxretry, network, at_once, account))

    def counted(self, told: Observation, totals: Totals) -> None:
        """Ban who failed too often, or whose network did; tell of an account under attack."""
        failure, judge = told.failure, self._judge
        if told.account is not None and totals.attackers >= told.account.most:
            judge.account_attacked(failure, totals.newest)
        if 0 < told.maxretry <= totals.failures and not self._enforcement.holds(failure.address):
            judge.convict(failure, totals.failures)
        if told.network is not None and totals.neighbours >= told.network.most:
            judge.convict_network(failure, totals.neighbours, proven=totals.proven)
