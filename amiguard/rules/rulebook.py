"""All rules together: who is asked about what, and in which order. The table in docs/configuration.md says the same."""

from __future__ import annotations

from amiguard.jail import Jail
from amiguard.model import Address, Failure, Target
from amiguard.policy import Policy
from amiguard.rules.slow import slow_jail, slow_policy
from amiguard.rules.verdict import NOTHING, Verdicts


class Rulebook:
    """The jail and the rules. A rule that is off costs nothing."""

    def __init__(self, policy: Policy) -> None:
        self.jail = Jail(policy)
        self.slow = slow_jail(policy)

    @property
    def policy(self) -> Policy:
        """What they go by now."""
        return self.jail.policy

    def reconfigure(self, policy: Policy) -> None:
        """Go by other numbers from now on; what was counted stays counted."""
        self.jail.reconfigure(policy)
        counted = slow_policy(policy)
        if self.slow is None or counted is None:
            self.slow = slow_jail(policy)
        else:
            self.slow.reconfigure(counted)

    def failed(self, failure: Failure) -> Verdicts:
        """Count one failure; return what it leads to."""
        ban = self.jail.observe(failure)
        if self.slow is not None:
            if ban is None:
                ban = self.slow.observe(failure)
            else:
                self.slow.forget(failure.address)
        if ban is None:
            return NOTHING
        self.jail.forget(failure.address)
        return (ban,)

    def prove(self, address: Address) -> None:
        """A second witness told of a counted failure over a connection: the address is proven."""
        self.jail.prove(address)
        if self.slow is not None:
            self.slow.prove(address)

    def forget(self, target: Target) -> None:
        """Drop what is known of this address: it was unbanned or allowed."""
        self.jail.forget(Address(target))
        if self.slow is not None:
            self.slow.forget(Address(target))
