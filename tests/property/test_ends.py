"""No failure ever brings the end of a ban forward, in the daemon's books or in the kernel, whatever else happens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from amiguard.model import Address, Ban, Target, Timestamp
from amiguard.policy import NetworkBans, Policy, Repeat, Slow
from tests.lab.world import RecordingFirewall, World, guess

SECOND = 1000
POLICY = Policy(
    2, 10 * SECOND, 20 * SECOND, 9 * SECOND, Slow(3, 60 * SECOND), networks=NetworkBans(2, 2, 30, 126),
    protected_maxretry=3, repeat=Repeat(increment=True, recidive=4, jitter=5 * SECOND),
)  # fmt: skip
"""Unproven bans are shorter than proven ones, and a network's ban meets those of its addresses."""

HOSTS = [Address(Target(f"{start}{number}")) for start in ("192.0.2.", "2001:db8::") for number in range(4)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fail"), st.sampled_from(HOSTS), st.sampled_from(["UDP", "UDP", "TCP", "tampered"])),
        st.tuples(st.just("login"), st.sampled_from(HOSTS), st.just("UDP")),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 3, 12]), st.just("")),
        st.tuples(st.just("ban"), st.sampled_from(HOSTS), st.sampled_from([5, 40, None])),
        st.tuples(st.just("refuse"), st.integers(0, 1), st.just("")),
    ),
    min_size=15,
    max_size=60,
)


@dataclass
class Kernel(RecordingFirewall):
    """Sees to it that whoever is dropped is dropped for at least as long after each change."""

    until: dict[Target, float] = field(default_factory=dict)
    administered: bool = False
    """Whether it is an administrator who decides now: he may shorten a ban."""

    @override
    async def start(self, allow: Iterable[Target], bans: Sequence[Ban], now: Timestamp) -> None:
        await super().start(allow, bans, now)
        self._put(bans, now)

    @override
    def _put(self, bans: Sequence[Ban], now: Timestamp) -> None:
        super()._put(bans, now)
        for ban in bans:
            end = inf if ban.until is None else ban.until
            before = self.until.get(ban.target, 0)
            assert self.administered or end >= before or before <= now
            self.until[ban.target] = end


async def live(steps: Sequence[tuple[str, object, object]]) -> None:
    kernel = Kernel()
    world = World(firewall=kernel, policy=POLICY, allow=())
    async with world.running() as guard:
        for number, (step, subject, how) in enumerate(steps):
            before = {ban.target: ban for ban in guard.administration.bans()}
            kernel.administered = step == "ban"
            if step == "wait":
                world.now += int(str(subject)) * SECOND
            elif step == "refuse":
                kernel.broken = bool(subject)
            elif step == "ban" and not kernel.broken:
                await guard.administration.ban(
                    Target(str(subject)), None if how is None else int(str(how)) * SECOND, "", force=True
                )
            elif step in {"fail", "login"}:
                event = guess(str(subject), session=f"{number}", transport=str(how).replace("tampered", "TLS"))
                name, right = ("SuccessfulAuth", True) if step == "login" else (event.name, False)
                event = event._replace(name=name, using_password=right, tampered=how == "tampered")
                guard.observe(event, "ami")
            for _ in range(20):  # whatever waits gets its turn; nothing here waits for time
                await asyncio.sleep(0)
            if step != "ban":
                for ban in guard.administration.bans():
                    known = before.get(ban.target, ban)
                    assert ban.until is None or (known.until is not None and ban.until >= known.until)


@given(STEPS)
def test_no_failure_brings_the_end_of_a_ban_forward(steps: list[tuple[str, object, object]]) -> None:
    asyncio.run(live(steps))
