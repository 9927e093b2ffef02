from __future__ import annotations

import pytest

from amiguard.errors import AmiguardError, InvalidAddress
from amiguard.model import Ban, Reason, Target, parse_address, parse_target


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1", "::1"),
    ],
)
def test_an_address_has_one_form(text: str, canonical: str) -> None:
    assert parse_address(text) == parse_target(text) == canonical


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.77/24", "192.0.2.0/24"),
        ("192.0.2.1/32", "192.0.2.1"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("2001:db8::1/64", "2001:db8::/64"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_has_one_form(text: str, canonical: str) -> None:
    assert parse_target(text) == canonical


@pytest.mark.parametrize(
    "text", ["", "pbx", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4/33", "::/129", "1.2.3.4/x", "[::1]", "1.2.3.4\n"]
)
def test_what_is_no_address_is_refused_with_our_error(text: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        parse_target(text)
    assert isinstance(caught.value, AmiguardError)


def test_what_is_left_of_a_ban_is_never_negative() -> None:
    ban = Ban(Target("192.0.2.1"), 0, 1000, Reason.MANUAL)

    assert [ban.remaining(now) for now in (0, 999, 1000, 5000)] == [1000, 1, 0, 0]
    assert Ban(Target("192.0.2.1"), 0, None, Reason.MANUAL).remaining(5000) is None
