import pytest

from amiguard.asterisk.schema import COMMON, HEADERS, TEXT_LIMIT, match
from tests.lab.blocks import block

END = b"\r\n\r\n"


@pytest.mark.parametrize("name", HEADERS)
def test_each_of_the_fifteen_events_is_read(name: str) -> None:
    event = match(block(name).removesuffix(END))

    assert event is not None
    assert (event.name, event.service, event.address, event.port, event.transport) == (
        name, "PJSIP", "10.99.130.5", 5062, "UDP",
    )  # fmt: skip
    assert event.session == "call-1"
    assert not event.tampered


@pytest.mark.parametrize("name", HEADERS)
def test_all_optional_headers_are_read(name: str) -> None:
    optional = dict.fromkeys(HEADERS[name][1], "x")

    assert match(block(name, **optional).removesuffix(END)) is not None


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("header", COMMON)
def test_a_missing_or_doubled_header_breaks_the_schema(name: str, header: str) -> None:
    whole = block(name).removesuffix(END).split(b"\r\n")
    places = [i for i, line in enumerate(whole) if line.startswith(header.encode() + b": ")]
    for place in places:
        assert match(b"\r\n".join(whole[:place] + whole[place + 1 :])) is None
        assert match(b"\r\n".join([*whole[:place], whole[place], *whole[place:]])) is None


def test_lines_of_the_manager_before_the_event_are_allowed() -> None:
    lines = block("InvalidPassword").removesuffix(END).split(b"\r\n")
    preamble = [
        b"Timestamp: 1795342359.766739",
        b"SequenceNumber: 3",
        b"File: manager.c",
        b"Line: 1",
        b"Func: f",
        b"SystemName: pbx",
    ]

    assert match(b"\r\n".join(lines[:2] + preamble + lines[2:])) is not None


def test_headers_of_a_newer_asterisk_behind_the_known_ones_are_taken() -> None:
    event = match(block("InvalidPassword").removesuffix(END) + b"\r\nNewHeader: 1")

    assert event is not None
    assert event.address == "10.99.130.5"


@pytest.mark.parametrize(
    ("remote", "address", "transport"),
    [
        ("IPV4/TLS/192.0.2.1/5061", "192.0.2.1", "TLS"),
        ("IPV6/WSS/2001:db8::1/443", "2001:db8::1", "WSS"),
        ("IPV6/UDP/::ffff:192.0.2.1/5060", "192.0.2.1", "UDP"),
        ("IPV6/UDP/fe80::1%eth0/5060", "fe80::1", "UDP"),
        ("IPV4/192.0.2.1/5060", "192.0.2.1", ""),
    ],
)
def test_addresses_are_read_in_every_form_that_asterisk_writes(remote: str, address: str, transport: str) -> None:
    event = match(block("InvalidPassword", remote=remote).removesuffix(END))

    assert event is not None
    assert (event.address, event.transport) == (address, transport)


@pytest.mark.parametrize("remote", ["(null)", "IPV4/UDP/999.1.1.1/1", "IPV4/SCTP/192.0.2.1/1", "192.0.2.1", ""])
def test_what_is_no_address_is_no_event(remote: str) -> None:
    assert match(block("InvalidPassword", remote=remote).removesuffix(END)) is None


def test_an_attackers_text_is_cut_and_its_bytes_are_made_harmless() -> None:
    event = match(block("InvalidPassword", AccountID="é" * 9000, SessionID="\udcff" + "x" * 60_000).removesuffix(END))

    assert event is not None
    assert event.account == "é" * TEXT_LIMIT
    assert event.session == "\N{REPLACEMENT CHARACTER}" + "x" * (TEXT_LIMIT - 1)
