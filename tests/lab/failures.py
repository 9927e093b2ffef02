"""Failures for tests of the pure core."""

from __future__ import annotations

from amiguard.model import Address, Evidence, Failure, Reason, Target

ATTACKER = Address(Target("192.0.2.1"))


def failure(
    at: int,
    address: str = ATTACKER,
    *,
    evidence: Evidence = Evidence.DATAGRAM,
    weight: int = 1,
    account: str = "100",
    reason: Reason = Reason.WRONG_PASSWORD,
) -> Failure:
    return Failure(
        Address(Target(address)), at, reason, weight, evidence, "ChallengeResponseFailed", "PJSIP", "UDP", 5062,
        account, "call", "ami",
    )  # fmt: skip
