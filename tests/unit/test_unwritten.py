"""What waits for a store that refuses."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from amiguard.model import Allowed, AllowOrigin, Ban, Reason, Target
from amiguard.ports import Change, Disallowed, Ended, Ending, Position
from amiguard.unwritten import Unwritten

ONE, OTHER = Target("192.0.2.1"), Target("192.0.2.2")
FEW = 3


def ban(target: Target = ONE, until: int | None = 1_000) -> Ban:
    return Ban(target, 0, until, Reason.WRONG_PASSWORD)


def position(offset: int) -> Position:
    return Position("/log", 1, 1, offset, "")


UNBAN, EXPIRE = Ended(ONE, 5, Ending.UNBAN), Ended(ONE, 5, Ending.EXPIRE)


def waiting(changes: Iterable[Change], most: int = FEW) -> Unwritten:
    made = Unwritten(most)
    for change in changes:
        made.add(change)
    return made


def left(made: Unwritten) -> list[Change]:
    return [change for _, change in made.batch(1_000)]


def test_all_is_kept_in_its_order_while_little_waits() -> None:
    assert left(waiting([ban(), UNBAN, ban()])) == [ban(), UNBAN, ban()]


def test_a_position_stays_behind_the_bans_that_it_was_read_after() -> None:
    assert left(waiting([position(1), ban(), ban(OTHER), position(2)])) == [ban(), ban(OTHER), position(2)]


def test_bans_that_ended_meanwhile_take_no_memory() -> None:
    made = Unwritten(100)
    for number in range(10_000):
        target = Target(f"10.0.{number >> 8}.{number & 255}")
        made.add(ban(target))
        made.add(Ended(target, 1_000, Ending.EXPIRE))

        assert len(made) <= 101


def test_who_was_let_through_is_not_banned_again_by_what_the_store_knew_of_him() -> None:
    full = [ban(OTHER), ban(OTHER), ban(OTHER)]
    made = waiting([*full, UNBAN, ban(), EXPIRE])

    assert left(made) == [*full, EXPIRE], "else a ban without end that the store holds would be back after a restart"


def test_what_the_store_took_is_gone_and_what_came_meanwhile_waits() -> None:
    made = waiting([ban(), ban(OTHER), position(1)])
    batch = made.batch(2)
    made.add(UNBAN)
    made.done(batch)

    assert left(made) == [position(1), UNBAN]
    made.done(made.batch(2))
    assert len(made) == 0


kinds = st.sampled_from(
    [
        ban,
        lambda target, _: ban(target, None),
        lambda target, at: Ended(target, at, Ending.UNBAN),
        lambda target, at: Ended(target, at, Ending.EXPIRE),
        lambda target, _: Allowed(target, AllowOrigin.RUNTIME),
        lambda target, _: Disallowed(target),
    ]
)
histories = st.lists(st.tuples(st.one_of(kinds, st.integers(1, 4)), st.sampled_from([ONE, OTHER])), max_size=80)


@given(histories, st.integers(0, 6))
def test_however_little_room_there_is_the_store_bans_and_allows_the_same_in_the_end(
    history: list[tuple[object, Target]], most: int
) -> None:
    few, all_of_it = Unwritten(most), Unwritten(1_000)
    told: list[Change] = []
    running: dict[Target, Ban] = {}
    for now, (what, target) in enumerate(history):
        if isinstance(what, int):  # the store takes so many
            batch = few.batch(what)
            told += [change for _, change in batch]
            few.done(batch)
            continue
        assert callable(what)
        change = what(target, now + 5)
        if isinstance(change, Ended) and change.ending is Ending.EXPIRE:
            known = running.get(target)
            if known is None or known.until is None:  # only a ban with an end ends by itself
                continue
            change = Ended(target, known.until, Ending.EXPIRE)
        if isinstance(change, Ban):
            running[target] = change
        elif isinstance(change, Ended):
            running.pop(target, None)
        few.add(change)
        all_of_it.add(change)
        assert len(few) <= most + 4, "one of each target and kind"
    told += left(few)

    assert remembered(told) == remembered(left(all_of_it))


def remembered(changes: Iterable[Change]) -> tuple[dict[Target, Ban], set[Target]]:
    """Return what a store tells after these changes and a restart long after."""
    bans: dict[Target, Ban] = {}
    allowed: set[Target] = set()
    for change in changes:
        match change:
            case Ban():
                bans[change.target] = change
            case Ended():
                bans.pop(change.target, None)
            case Allowed():
                allowed.add(change.target)
            case Disallowed():
                allowed.discard(change.target)
    return {target: one for target, one in bans.items() if one.until is None}, allowed
