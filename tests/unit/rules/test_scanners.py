from __future__ import annotations

from amiguard.asterisk.schema import SecurityEvent
from amiguard.chansip import Report
from amiguard.model import Address, Ban, Reason, Target
from amiguard.policy import Policy, Scan
from amiguard.rules import scanners
from amiguard.rules.names import CAPACITY, LENGTH, MOST, Names
from amiguard.rules.rulebook import Rulebook
from amiguard.rules.scanners import PATIENCE, Scanners
from tests.lab.failures import ATTACKER, failure

HOUR = 3_600_000
SCAN = Scan(challenges=100, accounts=10, learning=HOUR)
LATER = 2 * HOUR


def event(name: str, account: str, address: str = ATTACKER, session: str = "call", service: str = "PJSIP") -> Report:
    made = SecurityEvent(
        name,
        service,
        Address(Target(address)),
        5062,
        "UDP",
        account,
        session,
        using_password=name == "SuccessfulAuth",
    )
    return Report(made, "ami", LATER)


def settled(scan: Scan = SCAN) -> Rulebook:
    """Return rules that have listened for long enough."""
    rules = Rulebook(Policy(5, 600_000, HOUR, HOUR, scan=scan))
    rules.challenged(event("ChallengeSent", "1", "203.0.113.1"), 0)
    return rules


def ask(rules: Rulebook, account: str, session: str, now: int = LATER, address: str = ATTACKER) -> None:
    report = event("ChallengeSent", account, address, session)
    rules.challenged(report._replace(at=now), now)


def bans(rules: Rulebook, now: int) -> list[Ban]:
    return [verdict for verdict in rules.tick(now) if isinstance(verdict, Ban)]


def test_ten_names_whose_challenges_nobody_answers_end_in_a_ban() -> None:
    rules = settled()
    for number in range(10):
        ask(rules, str(100 + number), f"call{number}")
    assert not bans(rules, LATER + PATIENCE)

    (ban,) = bans(rules, LATER + PATIENCE + 1)
    assert (ban.target, ban.reason, ban.failures) == (ATTACKER, Reason.SCAN, 10)
    assert ban.accounts == tuple(str(100 + number) for number in range(10))


def test_a_hundred_unanswered_challenges_for_one_name_end_in_a_ban() -> None:
    rules = settled()
    for number in range(100):
        ask(rules, "100", f"call{number}")

    assert rules.waits
    (ban,) = bans(rules, LATER + PATIENCE + 1)
    assert (ban.reason, ban.failures) == (Reason.SCAN, 100)
    assert not rules.waits


def test_an_answer_right_or_wrong_settles_a_challenge() -> None:
    rules = settled()
    for number in range(1000):
        ask(rules, str(number), f"call{number}")
        if number % 2:  # over chan_sip, whose log-ins exempt nobody from what is left unanswered
            rules.logged_in(event("SuccessfulAuth", str(number), session=f"call{number}", service="SIP").event, LATER)
        else:
            rules.answered(event("ChallengeResponseFailed", str(number), session=f"call{number}").event)

    assert not rules.waits
    assert not bans(rules, LATER + HOUR)


def test_a_request_that_is_repeated_for_want_of_an_answer_counts_once() -> None:
    rules = settled()
    for _ in range(1000):
        ask(rules, "100", "one and the same")

    assert not bans(rules, LATER + PATIENCE + 1)


def test_a_phone_that_keeps_a_door_open_with_unanswered_options_is_no_scanner() -> None:
    rules = settled()
    rules.logged_in(event("SuccessfulAuth", "100", session="registration").event, LATER)
    for number in range(2000):
        ask(rules, "100", f"options{number}", LATER + 30_000 * number)
        if number % 100 == 0:
            rules.logged_in(event("SuccessfulAuth", "100", session="registration").event, LATER + 30_000 * number)

    assert not bans(rules, LATER + 30_000 * 2000 + PATIENCE)


def test_who_logs_in_before_the_count_is_full_is_no_scanner() -> None:
    rules = settled()
    for number in range(200):
        ask(rules, str(number), f"call{number}")
    rules.logged_in(event("SuccessfulAuth", "100", session="other").event, LATER + 1000)

    assert not bans(rules, LATER + HOUR)


def test_nobody_is_blamed_before_the_phones_had_time_to_log_in() -> None:
    rules = Rulebook(Policy(5, 600_000, HOUR, HOUR, scan=SCAN))
    for number in range(1000):
        ask(rules, str(number), f"call{number}", now=5000 + number)

    assert not bans(rules, HOUR)


def test_a_challenge_for_an_account_that_does_not_exist_was_counted_by_its_probe() -> None:
    rules = settled()
    for number in range(1000):
        ask(rules, "<unknown>", f"call{number}")

    assert not bans(rules, LATER + PATIENCE + 1)


def test_a_login_over_chan_sip_exempts_nobody() -> None:
    rules = settled()
    rules.logged_in(event("SuccessfulAuth", "100", session="other", service="SIP").event, LATER)
    for number in range(10):
        ask(rules, str(number), f"call{number}")

    assert bans(rules, LATER + PATIENCE + 1)


def test_ten_failing_names_of_one_address_end_in_a_ban_however_slowly_they_are_tried() -> None:
    rules = settled()
    verdicts = [rules.failed(failure(number * HOUR, account=str(number))) for number in range(10)]

    assert [bool(found) for found in verdicts] == [False] * 9 + [True]
    (ban,) = verdicts[-1]
    assert isinstance(ban, Ban)
    assert (ban.reason, ban.failures) == (Reason.SCAN, 10)


def test_one_name_that_fails_for_ever_is_no_scan() -> None:
    rules = settled()

    assert not any(rules.failed(failure(number * HOUR)) for number in range(1000))


def test_challenges_without_end_cost_a_fixed_amount() -> None:
    waiting = Scanners(Policy(5, 600_000, HOUR, HOUR, scan=SCAN))
    report = event("ChallengeSent", "100")
    for number in range(scanners.WAITING * 2):
        waiting.challenged((Address(Target(str(number))), 1, "x"), report, 0)
        list(waiting.unanswered(0))
        assert len(waiting) <= scanners.WAITING


def test_when_the_clock_is_set_back_what_waits_is_held_against_nobody() -> None:
    waiting = Scanners(Policy(5, 600_000, HOUR, HOUR, scan=SCAN))
    waiting.challenged((ATTACKER, 1, "x"), event("ChallengeSent", "100"), HOUR)

    assert not list(waiting.unanswered(0))
    assert len(waiting) == 0


def test_names_and_addresses_without_end_cost_a_fixed_amount() -> None:
    names = Names()
    for number in range(2 * CAPACITY):
        names.tried(failure(number, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
        assert len(names) <= CAPACITY
    for number in range(1000):
        names.tried(failure(3 * CAPACITY, account=str(number)))

    assert [name for name, _ in names.names(ATTACKER, 3 * CAPACITY)] == [str(n) for n in range(1000 - MOST, 1000)]


def test_names_longer_than_any_account_are_remembered_in_part() -> None:
    names = Names()
    for number in range(MOST):
        names.tried(failure(number, account="x" * 200 + str(number)))

    assert [len(name) for name, _ in names.names(ATTACKER, MOST)] == [LENGTH]
