"""`amiguard check` says what to change in manager.conf."""

from __future__ import annotations

import pytest

from amiguard.errors import LoginRefused, SourceError
from amiguard.sources.ami import probe
from tests.lab.fakeami import FakeAmi, Login, Script
from tests.lab.waiting import until
from tests.unit.sources.ami.support import SECRET, quick


async def test_a_good_user_gets_one_line_and_logs_off() -> None:
    async with FakeAmi(Script(secret=SECRET)) as server:
        line = await probe(quick(server))
        assert line == (
            f"Asterisk Call Manager/11.0.0 at 127.0.0.1:{server.port}: 'amiguard' gets security events; "
            "without write = system, phones are known only once they log in, and trunks not at all"
        )
        assert [action["Action"] for action in server.actions] == ["Login", "Ping", "PJSIPShowContacts", "Logoff"]
        await until(lambda: not server.sessions, what="the session ended")


async def test_a_user_who_may_list_registrations_is_told_so() -> None:
    for lists in ({}, {"PJSIPShowContacts": ["Event: ContactList\nEndpoint: 6001"]}):
        async with FakeAmi(Script(secret=SECRET, write_system=True, lists=lists)) as server:
            line = await probe(quick(server))
            assert line.endswith("gets security events; phones and trunks are known by their registrations")


async def test_a_wrong_secret_is_a_refused_login() -> None:
    async with FakeAmi(Script(secret="another")) as server:
        with pytest.raises(LoginRefused, match=r"'amiguard'.*Authentication failed.*manager\.conf") as caught:
            await probe(quick(server))
        assert SECRET not in str(caught.value)


async def test_a_manager_that_repeats_the_secret_does_not_bring_it_into_an_error() -> None:
    async with FakeAmi(Script(secret="another", repeats=True)) as server:
        with pytest.raises(LoginRefused, match=r"Authentication failed for \*\*\*") as caught:
            await probe(quick(server))
        assert SECRET not in str(caught.value)


async def test_a_missing_permission_is_named() -> None:
    async with FakeAmi(Script(security_class=False)) as server:
        with pytest.raises(SourceError, match=r"read = security"):
            await probe(quick(server, canary_timeout=0.05))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Script(banner=(b"SSH-2.0-x\r\n",)), "not an Asterisk manager"),
        (Script(banner=()), "no banner"),
        (Script(login=Login.SILENT), "did not answer Login"),
        (Script(login=Login.CLOSED), "closed the connection"),
        (Script(pong=False), "did not answer Ping"),
    ],
)
async def test_everything_else_is_named_too(script: Script, words: str) -> None:
    async with FakeAmi(script) as server:
        with pytest.raises(SourceError, match=words):
            await probe(quick(server, banner_timeout=0.1, login_timeout=0.1, ping_timeout=0.1))


async def test_a_closed_port_is_named() -> None:
    async with FakeAmi() as server:
        settings = quick(server)
    with pytest.raises(SourceError, match="Connection refused"):
        await probe(settings)
