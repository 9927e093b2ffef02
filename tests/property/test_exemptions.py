"""Nothing allowed is ever in a ban, and an unban always works, whatever happens in which order."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from amiguard.allowlist import Allowlist
from amiguard.errors import BanRefused
from amiguard.model import Allowed, AllowOrigin, Target, target_of
from tests.lab.world import World, attack

BLOCK = 24
HOST = st.integers(0, 15).map(lambda number: Target(f"192.0.2.{number}"))
NETWORK = st.tuples(st.integers(0, 15), st.integers(BLOCK + 4, 32)).map(
    lambda pair: target_of(ip_network(f"192.0.2.{pair[0]}/{pair[1]}", strict=False))
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("attack"), HOST),
        st.tuples(st.sampled_from(["ban", "force", "unban", "allow", "disallow"]), NETWORK),
        st.tuples(st.sampled_from(["name", "other name"]), st.frozensets(NETWORK, max_size=3)),
    ),
    max_size=15,
)


def inside(target: Target, others: list[Target]) -> bool:
    return any(ip_network(target).subnet_of(ip_network(other)) for other in others)  # type: ignore[arg-type]  # all are IPv4


async def live(steps: list[tuple[str, Target | frozenset[Target]]]) -> None:
    world = World(allow=())
    told: dict[str, list[Target]] = {}
    async with world.running() as guard:
        ask = guard.administration
        for step, subject in steps:
            if isinstance(subject, frozenset):
                told[step] = sorted(subject)
                guard.exemptions.set(AllowOrigin.NAME, step, subject)
            elif step == "attack":
                attack(guard, subject)
            elif step in {"ban", "force"}:
                try:
                    await ask.ban(subject, None, "", force=step == "force")
                except BanRefused:
                    pass
                else:
                    assert subject in world.firewall.dropped
            elif step == "unban":
                await ask.unban(subject)
                assert subject not in world.firewall.dropped
            elif step == "allow":
                await ask.allow(subject, "")
            else:
                await ask.disallow(subject)
            for _ in range(20):  # whatever waits gets its turn; nothing here waits for time
                await asyncio.sleep(0)
            allowed = [entry.target for entry in ask.allowed()]
            assert {target for targets in told.values() for target in targets} <= set(allowed)
            assert set(world.firewall.allowed) == set(allowed)
            assert not [target for target in world.firewall.dropped if inside(target, allowed)]
            assert {ban.target for ban in ask.bans()} == set(world.firewall.dropped)


@given(STEPS)
def test_nothing_allowed_is_ever_in_a_ban_and_an_unban_always_works(
    steps: list[tuple[str, Target | frozenset[Target]]],
) -> None:
    asyncio.run(live(steps))


NETWORKS = st.one_of(
    st.tuples(st.ip_addresses(v=4, network="192.0.2.0/24"), st.integers(20, 32)),
    st.tuples(st.ip_addresses(v=6, network="2001:db8::/120"), st.integers(110, 128)),
).map(lambda pair: target_of(ip_network(f"{pair[0]}/{pair[1]}", strict=False)))
CHANGES = st.lists(st.tuples(st.booleans(), NETWORKS, st.sampled_from([AllowOrigin.NAME, AllowOrigin.SELF])))


@given(CHANGES, NETWORKS)
def test_an_allowlist_that_changes_answers_like_a_linear_search(
    changes: list[tuple[bool, Target, AllowOrigin]], asked: Target
) -> None:
    allowlist, plain = Allowlist(), dict[Allowed, None]()
    for adds, target, origin in changes:
        entry = Allowed(target, origin)
        if adds:
            allowlist.add(entry)
            plain[entry] = None
        else:
            allowlist.remove(entry)
            plain.pop(entry, None)

    wanted = ip_network(asked)
    same = [(entry, ip_network(entry.target)) for entry in plain if ip_network(entry.target).version == wanted.version]
    around = {entry for entry, network in same if wanted.subnet_of(network)}  # type: ignore[arg-type]  # same version
    inside = {entry for entry, network in same if network.subnet_of(wanted)}  # type: ignore[arg-type]  # same version
    assert set(allowlist) == set(plain)
    assert len(allowlist) == len({entry.target for entry in plain})
    assert set(allowlist.around(asked)) == around
    assert set(allowlist.inside(asked)) == inside
    assert allowlist.holds(asked) is bool(around)
    assert allowlist.covers(asked) is bool(around | inside)
