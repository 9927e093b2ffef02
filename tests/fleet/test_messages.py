"""What nodes tell each other, and what of it is believed."""

from __future__ import annotations

import json
from contextlib import suppress
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiguard.errors import InvalidMessage
from amiguard.fleet.messages import LARGEST, decode, encode, shareable
from amiguard.model import Ban, Evidence, Origin, Reason, Target, target_of
from amiguard.nodes import Exempted, Lifted, Revoked

NOW = 1_764_590_400_000
INSTANCE = "0123456789abcdef"

TARGETS = st.one_of(
    st.ip_addresses().map(lambda ip: Target(str(ip))),
    st.sampled_from(["192.0.0.0/16", "2001:db8::/32", "2001:db8::/64"]).map(Target),
).filter(lambda target: not target.startswith("::ffff:"))
TEXT = st.text(max_size=300)
BANS = st.builds(
    Ban,
    target=TARGETS,
    since=st.just(NOW),
    until=st.none() | st.integers(NOW, NOW + 10**12),
    reason=st.sampled_from(Reason),
    origin=st.sampled_from([Origin.LOCAL, Origin.MANUAL]),
    evidence=st.none() | st.sampled_from(Evidence),
    failures=st.integers(0, 10**6),
    accounts=st.lists(TEXT, max_size=12).map(tuple),
    service=TEXT,
    transport=TEXT,
    comment=TEXT,
    absolute=st.booleans(),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@given(BANS, st.integers(0, 10**9))
def test_a_ban_arrives_as_it_was_sent_with_what_is_left_of_it(ban: Ban, age: int) -> None:
    message = decode(encode(ban, "pbx1", INSTANCE, NOW), NOW + 5_000, age)
    got = message.change
    assert isinstance(got, Ban)
    assert message.instance == INSTANCE
    assert (got.target, got.reason, got.evidence, got.absolute) == (ban.target, ban.reason, ban.evidence, ban.absolute)
    assert got.accounts == tuple(account[:256] for account in ban.accounts[:10])
    assert (got.origin, got.node) == (Origin.FLEET, "pbx1")
    assert (got.until is None) is (ban.until is None)
    if got.until is not None and ban.until is not None:
        assert got.until - (NOW + 5_000) == ban.until - NOW - age


def test_the_longest_message_is_not_too_long() -> None:
    text = "\U0001f4a3" * 999
    ban = Ban(Target("192.0.2.1"), 0, None, Reason.ACL, accounts=(text,) * 99, service=text, comment=text)
    assert len(encode(ban, "n" * 64, INSTANCE, 0)) < LARGEST


def test_an_unban_names_who_wants_it() -> None:
    raw = encode(Lifted(Target("192.0.2.0/24"), NOW), "pbx1", INSTANCE, NOW)
    assert decode(raw, NOW, 7).change == Lifted(Target("192.0.2.0/24"), NOW - 7, "pbx1")


@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_anything_is_a_message_or_is_refused(raw: bytes) -> None:
    with suppress(InvalidMessage):
        decode(raw, NOW, 0)


@given(BANS, st.data())
def test_a_message_with_any_field_replaced_is_refused_or_bans_no_wide_network(ban: Ban, data: st.DataObject) -> None:
    told = json.loads(encode(ban, "pbx1", INSTANCE, NOW))
    told[data.draw(st.sampled_from(sorted(told)))] = data.draw(VALUES)
    with suppress(InvalidMessage):
        change = decode(json.dumps(told).encode(), NOW, 0).change
        assert shareable(change)


@given(st.ip_addresses(), st.integers(0, 128))
def test_only_networks_from_16_and_32_on_are_banned_for_others_and_from_24_and_48_on_allowed(
    ip: object, prefix: int
) -> None:
    network = ip_network(f"{ip}/{prefix if ':' in str(ip) else min(prefix, 32)}", strict=False)
    target = target_of(network)
    six, length = ":" in target, ip_network(target).prefixlen
    assert shareable(Lifted(target, 0)) is (length >= (32 if six else 16))
    assert shareable(Exempted(target, 0)) is shareable(Revoked(target, 0)) is (length >= (48 if six else 24))


@given(TARGETS, TEXT)
def test_who_is_allowed_is_told_with_a_comment_and_who_says_so(target: Target, comment: str) -> None:
    change = Exempted(target, NOW, comment)
    raw = encode(change, "pbx1", INSTANCE, NOW)
    if shareable(change):
        assert decode(raw, NOW, 7).change == Exempted(target, NOW - 7, comment[:256], "pbx1")
    else:
        with pytest.raises(InvalidMessage):
            decode(raw, NOW, 0)
