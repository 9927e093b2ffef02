"""What holds for every rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, is_dataclass
from typing import Any

from amiguard.policy import NetworkBans, Policy, Repeat, Scan, Slow, Spread
from amiguard.rules.rulebook import Rulebook


def policy(first: int) -> Policy:
    """A policy with every rule switched on and numbers that begin with `first`, no two the same."""
    number = iter(range(first, first + 100))
    return Policy(
        maxretry=next(number),
        findtime=next(number),
        bantime=next(number),
        unproven_bantime=next(number),
        slow=Slow(next(number), next(number)),
        scan=Scan(next(number), next(number), next(number)),
        spread=Spread(next(number), next(number), next(number)),
        networks=NetworkBans(next(number), next(number), next(number), next(number), next(number)),
        compromise=next(number),
        protected_maxretry=next(number),
        repeat=Repeat(
            increment=True, factor=next(number), maxtime=next(number), recidive=next(number), jitter=next(number)
        ),
    )


def numbers(thing: object) -> Iterator[float]:
    """Yield every number of every policy, and part of one, that is kept somewhere inside `thing`."""
    if is_dataclass(thing) and not isinstance(thing, type):
        yield from flat(astuple(thing))
    elif type(thing).__module__.startswith("amiguard.") and hasattr(thing, "__dict__"):
        for inner in vars(thing).values():
            yield from numbers(inner)


def flat(values: tuple[Any, ...]) -> Iterator[float]:
    for value in values:
        if isinstance(value, tuple):
            yield from flat(value)
        elif not isinstance(value, bool | None):
            yield value


def test_a_reload_reaches_every_rule() -> None:
    old, new = set(numbers(policy(1_000))), set(numbers(policy(2_000)))
    rules = Rulebook(policy(1_000))
    assert old <= set(numbers(rules))

    rules.reconfigure(policy(2_000))

    assert new <= set(numbers(rules))
    assert not old & set(numbers(rules))
