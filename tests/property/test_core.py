"""What must hold for any input."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from amiguard.allowlist import Allowlist
from amiguard.asterisk.events import EventParser
from amiguard.asterisk.framing import Framer
from amiguard.asterisk.schema import HEADERS
from amiguard.jail import Jail
from amiguard.model import Address, Evidence, Failure, Reason, Target, network_of, parse_target
from amiguard.policy import Policy
from tests.lab.blocks import VICTIM, block
from tests.lab.captures import BANNER
from tests.lab.judge import parse

GUESS = block("InvalidPassword")
SHORT = 36
"""Bytes of a name that PJSIP keeps."""

TAIL = f"\r\nSessionID: 1\r\nLocalAddress: {VICTIM}\r\nRemoteAddress: {VICTIM}"
WORDS = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "Event: ",
    "RemoteAddress: ",
    VICTIM,
    "SessionID: ",
    TAIL,
    "X: ",
    "Shutdown",
    "\x00",
]
smuggled = st.lists(st.sampled_from(WORDS), max_size=12).map("".join)


@given(
    st.lists(st.binary(max_size=64)),
    st.lists(st.sampled_from([b"\r\n", b"\r\n\r\n", b"\r", b"\n", GUESS]), max_size=20),
)
def test_how_bytes_are_cut_never_changes_the_blocks(noise: list[bytes], parts: list[bytes]) -> None:
    data = b"".join(piece for pair in zip(noise, parts, strict=False) for piece in pair)
    whole, single = Framer(), Framer()
    single.feed(BANNER)

    expected = whole.feed(BANNER + data)
    assert [found for byte in data for found in single.feed(bytes([byte]))] == expected


@given(st.binary(max_size=2000), st.integers(1, 300))
def test_no_bytes_whatever_stop_the_parser(data: bytes, size: int) -> None:
    events = parse([data[i : i + size] for i in range(0, len(data), size)] + [b"\r\n\r\n", GUESS], EventParser())

    assert events
    assert events[-1].address == "10.99.130.5"


@given(smuggled, st.sampled_from(sorted(HEADERS)), st.integers(1, 400))
def test_a_name_of_pjsip_never_blames_another(name: str, event: str, size: int) -> None:
    raw = block("InvalidAccountID", AccountID=name[:SHORT]) + block(event)

    found = parse([raw[i : i + size] for i in range(0, len(raw), size)], EventParser())

    assert {one.address for one in found} <= {"10.99.130.5"}


@given(smuggled, smuggled, st.integers(1, 400))
def test_a_name_of_a_manager_over_http_never_blames_another(first: str, second: str, size: int) -> None:
    text = first + GUESS.decode().replace("10.99.130.5", "9.9.9.9") + second + "\r\n\r\nX: "
    raw = GUESS + block("InvalidAccountID", remote="IPV4/TCP/10.99.130.5/1", Service="AMI", AccountID=text) + GUESS

    found = parse([raw[i : i + size] for i in range(0, len(raw), size)], EventParser())

    assert {one.address for one in found} == {"10.99.130.5"}


def failure(who: int, at: int, evidence: Evidence = Evidence.DATAGRAM) -> Failure:
    return Failure(Address(Target(f"192.0.2.{who}")), at, Reason.ACL, 1, evidence, "", "", "", 0, "", "", "ami")


failures = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400)), max_size=60)


@given(failures, st.integers(1, 6), st.integers(1, 200))
def test_the_jail_bans_exactly_when_a_plain_count_would(
    steps: list[tuple[int, int]], maxretry: int, findtime: int
) -> None:
    jail = Jail(Policy(maxretry, findtime, 1000, 1000))
    seen: dict[int, list[int]] = defaultdict(list)
    now = 0
    for who, step in steps:
        now += step
        seen[who] = [at for at in seen[who] if at >= now - findtime] + [now]
        expected = len(seen[who]) >= maxretry
        if expected:
            seen[who] = []

        ban = jail.observe(
            Failure(
                Address(Target(f"192.0.2.{who}")), now, Reason.ACL, 1, Evidence.DATAGRAM, "", "", "", 0, "", "", "ami"
            )
        )
        assert (ban is not None) is expected


@given(st.integers(1, 20), st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.integers(0, 50)), max_size=200))
def test_the_jail_never_grows_beyond_its_capacity(capacity: int, steps: list[tuple[int, bool, int]]) -> None:
    jail = Jail(Policy(5, 100, 1000, 1000), capacity)
    now = 0
    for who, connected, step in steps:
        now += step
        evidence = Evidence.CONNECTED if connected else Evidence.DATAGRAM
        jail.observe(
            Failure(Address(Target(f"192.0.2.{who}")), now, Reason.ACL, 1, evidence, "", "", "", 0, "", "", "ami")
        )
        assert len(jail) <= capacity


networks = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)), st.tuples(st.ip_addresses(v=6), st.integers(0, 128))
).map(lambda pair: parse_target(f"{pair[0]}/{pair[1]}"))


@given(st.lists(networks, max_size=12), networks)
def test_the_allowlist_answers_like_a_linear_search(allowed: list[Target], asked: Target) -> None:
    wanted = network_of(asked)
    expected = any(
        network.version == wanted.version and network.overlaps(wanted) for network in map(network_of, allowed)
    )

    assert Allowlist(allowed).covers(asked) is expected
