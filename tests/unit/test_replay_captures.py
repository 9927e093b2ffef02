"""What real Asterisk servers logged and told under attack, replayed: who would have been banned."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.blocks import block
from tests.lab.captures import BANNER, VICTIM, Capture, capture, captures
from tests.lab.past import Past, written
from tests.unit.asterisk.log.test_captures import EMBEDDED, NOTICE, SECURITY
from tests.unit.asterisk.test_captures import CHOSEN_ADDRESS, ORDINARY, RELIABLE

CASES = [pytest.param(case, id=case.name) for case in captures()]


@pytest.fixture
def past(capsys: pytest.CaptureFixture[str]) -> Past:
    return Past(lambda: capsys.readouterr().out)


@pytest.mark.parametrize("case", CASES)
def test_a_log_of_a_real_attack_bans_who_the_index_names(case: Capture, past: Past, tmp_path: Path) -> None:
    notice = NOTICE.get(case.name, case.count if case.log_failures else 0)
    security = SECURITY.get(case.name, case.count if case.ami_failures else 0)
    count = max(notice, security)

    past(written(tmp_path / "full", case.full_log), maxretry=str(max(count, 1)))

    assert case.packet_source in past.banned or not count
    assert set(past.banned) <= ({case.packet_source} if count else set()) | EMBEDDED.get(case.name, set())
    assert past.well


@pytest.mark.parametrize("case", CASES)
def test_a_capture_of_a_real_attack_bans_who_the_index_names(case: Capture, past: Past, tmp_path: Path) -> None:
    count = str(max(case.count, 1))
    past(written(tmp_path / "ami", case.raw), ami=True, maxretry=count, protect_registered="no")  # who logged in, too

    if case in RELIABLE:
        assert set(past.banned) <= {case.packet_source}
        assert past.banned or not case.ami_failures or not case.count
    if case not in CHOSEN_ADDRESS and case.packet_source != VICTIM:
        assert VICTIM not in past.banned


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in ORDINARY])
def test_no_attempt_counts_twice(case: Capture, past: Past, tmp_path: Path) -> None:
    past(written(tmp_path / "ami", BANNER, case.raw), ami=True, maxretry=str(case.count + 1))

    assert past.banned == []


def test_a_capture_and_a_log_tell_the_same_time(past: Past, tmp_path: Path) -> None:
    case = capture("22-pjsip/reg-wrong-x10")

    (by_log,) = past(written(tmp_path / "full", case.full_log)).of("ban")
    (by_ami,) = past(written(tmp_path / "ami", case.raw), ami=True).of("ban")

    assert by_log["since"] == by_ami["since"] == "2026-11-22T10:02:11Z"
    assert by_log["until"] == by_ami["until"] == "2026-11-27T10:02:11Z"
    assert (by_ami["reason"], by_ami["failures"], by_ami["accounts"]) == ("wrong-password", 5, ["6001"])
    assert (by_ami["service"], by_ami["transport"], by_ami["evidence"]) == ("PJSIP", "UDP", "datagram")


def test_an_event_from_the_future_does_not_move_the_time_of_the_others(past: Past, tmp_path: Path) -> None:
    forged = block("InvalidAccountID", remote="IPV4/TCP/192.0.2.9/1", EventTV="2099-01-01T00:00:00.000+0000")
    first, second = (
        block("ChallengeResponseFailed", EventTV=f"2026-11-22T10:12:4{second}.000+0000") for second in (0, 1)
    )

    bans = past(written(tmp_path / "ami", first, forged, second), ami=True, maxretry="2").of("ban")

    assert [ban["since"] for ban in bans] == ["2026-11-22T10:12:41Z"]
