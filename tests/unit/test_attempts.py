from __future__ import annotations

from amiguard.attempts import LIFETIME, Attempts, key_of
from amiguard.model import Address, Evidence, Failure, Reason, Target


def failure(
    at: int = 0, *, port: int = 5062, session: str = "call", service: str = "PJSIP", source: str = "ami"
) -> Failure:
    return Failure(
        Address(Target("192.0.2.1")), at, Reason.WRONG_PASSWORD, 1, Evidence.DATAGRAM, "ChallengeResponseFailed",
        service, "UDP", port, "100", session, source,
    )  # fmt: skip


def play(attempts: Attempts, signals: str, template: Failure | None = None) -> int:
    """Return how many of these signals count: p(robe), c(hallenge), g(uess)."""
    event = template or failure()
    methods = {"p": lambda: attempts.probe(event), "g": lambda: attempts.guess(event)}
    key = key_of(event.service, event.address, event.port, event.session)
    methods["c"] = lambda: attempts.challenged(key, event.source)
    return sum(methods[signal]() is not None for signal in signals)


def test_a_wrong_password_for_a_known_account_counts_once() -> None:
    assert play(Attempts(), "cg") == 1


def test_an_unknown_account_with_an_answered_challenge_counts_once() -> None:
    assert play(Attempts(), "pcpg") == 1


def test_an_account_that_an_acl_denies_counts_once_although_it_makes_three_events() -> None:
    assert play(Attempts(), "pcpg") == play(Attempts(), "pp") == play(Attempts(), "pg") == 1


def test_unknown_accounts_that_ignore_the_challenge_count_each_under_one_call_id() -> None:
    assert play(Attempts(), "pc" * 100) == 100


def test_probes_are_counted_although_challenges_are_filtered_out() -> None:
    assert play(Attempts(), "p" * 100) == 99


def test_guesses_under_one_call_id_count_each() -> None:
    assert play(Attempts(), "c" + "g" * 12) == 12
    assert play(Attempts(), "pc" + "pg" * 12) == 12
    assert play(Attempts(), "pcpg" * 12) == 12


def test_guesses_and_refused_requests_of_one_port_add_up() -> None:
    """chan_sip's lines name no Call-ID, so all that one port tries has one key."""
    assert play(Attempts(), "g" * 10 + "pp") == 11
    assert play(Attempts(), "pc" * 10 + "cg" * 10) == 19  # the first guess may be the last probe's


def test_a_challenge_alone_is_what_every_phone_makes() -> None:
    assert play(Attempts(), "c" * 1000) == 0


def test_other_ports_and_call_ids_are_other_attempts() -> None:
    attempts = Attempts()

    assert play(attempts, "pcpg") == 1
    assert play(attempts, "pcpg", failure(port=5063)) == 1
    assert play(attempts, "pcpg", failure(session="other")) == 1


def test_a_call_id_that_was_silent_for_long_begins_anew() -> None:
    attempts = Attempts()
    play(attempts, "pc" * 4)

    assert play(attempts, "g", failure(LIFETIME)) == 0
    assert play(attempts, "g", failure(2 * LIFETIME + 1)) == 1


def test_memory_is_bounded_and_forgetting_never_counts_less() -> None:
    attempts = Attempts(capacity=100)
    counted = sum(play(attempts, "pcpg", failure(session=str(i))) for i in range(10_000))

    assert counted == 10_000
    assert len(attempts) == 100
    assert play(attempts, "pcpg", failure(session="0")) == 1


def test_what_two_sources_tell_is_counted_once_whichever_comes_first() -> None:
    for first, second in (("ami", "log"), ("log", "ami")):
        attempts = Attempts()

        assert play(attempts, "pcpg", failure(source=first)) == 1
        assert play(attempts, "ppg", failure(source=second)) == 0


def test_sources_that_take_turns_never_add_up() -> None:
    attempts = Attempts()
    counted = sum(play(attempts, "g", failure(source=source)) for source in ("ami", "log", "security-log") * 12)

    assert counted == 12


def test_what_one_source_missed_the_other_makes_good() -> None:
    attempts = Attempts()

    assert play(attempts, "g" * 3, failure(source="ami")) == 3
    assert play(attempts, "g" * 5, failure(source="log")) == 2
    assert play(attempts, "g" * 4, failure(source="ami")) == 2


def test_a_source_may_be_late_by_a_minute() -> None:
    attempts = Attempts()
    for at in range(0, 600_000, 10_000):
        assert play(attempts, "g", failure(at, session=str(at))) == 1
        late = at - 60_000
        if late >= 0:
            assert play(attempts, "g", failure(late, session=str(late), source="log")) == 0


def test_manager_attempts_are_told_apart_by_address_since_log_lines_have_no_port() -> None:
    attempts = Attempts()

    for port in range(40_000, 40_005):
        assert play(attempts, "g", failure(port=port, session=hex(port), service="AMI")) == 1
        assert play(attempts, "g", failure(port=0, session="", service="AMI", source="log")) == 0


def test_an_event_whose_log_line_has_no_session_is_tied_by_its_port() -> None:
    attempts = Attempts()
    told = failure(session="call")._replace(code="RequestNotSupported")

    assert attempts.guess(told) is told
    assert attempts.guess(told._replace(session="", source="log")) is None
