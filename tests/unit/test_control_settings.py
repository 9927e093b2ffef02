"""How the daemon may be reached, and by whom."""

from __future__ import annotations

import pytest

from amiguard.control.settings import Address
from amiguard.errors import SettingsError
from amiguard.settings import Settings, load
from amiguard.wiring import control_settings

LOGIN = {"AMIGUARD_AMI_USERNAME": "u", "AMIGUARD_AMI_SECRET": "s"}
TOKEN = "0123456789abcdef"


def given(**values: str) -> Settings:
    return load(environ=LOGIN | {f"AMIGUARD_{name}": value for name, value in values.items()})


def refused(**values: str) -> str:
    with pytest.raises(SettingsError) as caught:
        given(**values)
    [problem] = caught.value.problems
    return problem


def test_nothing_listens_on_tcp_unless_asked() -> None:
    assert control_settings(given()).http is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9180", Address("127.0.0.1", 9180)),
        ("127.8.8.8:1", Address("127.8.8.8", 1)),
        ("localhost:65535", Address("127.0.0.1", 65535)),
        ("[::1]:9180", Address("::1", 9180)),
    ],
)
def test_a_loopback_address_needs_no_token(text: str, address: Address) -> None:
    settings = control_settings(given(HTTP_LISTEN=text))

    assert (settings.http, settings.token) == (address, "")


@pytest.mark.parametrize("text", ["0.0.0.0:9180", "192.0.2.1:9180", "[::]:9180", "[2001:db8::1]:80"])
def test_an_address_that_others_reach_needs_a_token(text: str) -> None:
    assert refused(HTTP_LISTEN=text) == (
        f"AMIGUARD_HTTP_TOKEN: is not set, but AMIGUARD_HTTP_LISTEN is {text}, which others reach; set it"
    )
    assert control_settings(given(HTTP_LISTEN=text, HTTP_TOKEN=TOKEN)).token == TOKEN


@pytest.mark.parametrize(
    "text",
    [
        "9180",
        ":9180",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:٣",
        "::1:9180",
        "[127.0.0.1]:80",
        "pbx.example:80",
    ],
)
def test_what_is_no_address_with_a_port_is_refused(text: str) -> None:
    problem = refused(HTTP_LISTEN=text)

    assert problem.startswith(f"AMIGUARD_HTTP_LISTEN: {text!r} is not allowed; give an address and a port such as ")


@pytest.mark.parametrize("token", ["geheim", "with blanks in it, and long", "ümlaut-ümlaut-ümlaut"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused_and_not_shown(token: str) -> None:
    problem = refused(HTTP_TOKEN=token)

    assert problem.startswith("AMIGUARD_HTTP_TOKEN: ")
    assert token not in problem
