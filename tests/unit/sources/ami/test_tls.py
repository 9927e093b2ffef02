"""The secret goes only to an Asterisk whose certificate is the right one."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import pytest
import trustme

from amiguard.errors import SourceError
from amiguard.sources.ami import probe
from tests.lab.fakeami import FakeAmi, security_event
from tests.lab.waiting import until
from tests.unit.sources.ami.support import quick, running


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


async def test_a_good_certificate_is_accepted_and_events_flow(authority: trustme.CA, ca_file: Path) -> None:
    context = server_context(authority.issue_cert("127.0.0.1"))
    async with FakeAmi(tls=context) as server, running(quick(server, tls=True, tls_ca=ca_file)) as work:
        await work.connected()
        await server.play(security_event() * 2000, 10_000)
        await work.heard(2000)
        server.kick()
        await work.connected_again(server, 2)


async def test_the_certificate_may_bear_another_name_if_told_so(authority: trustme.CA, ca_file: Path) -> None:
    async with FakeAmi(tls=server_context(authority.issue_cert("pbx.example.org"))) as server:
        settings = quick(server, tls=True, tls_ca=ca_file, tls_server_name="pbx.example.org")
        assert "gets security events" in await probe(settings)


async def test_verification_can_be_switched_off_only_in_so_many_words(authority: trustme.CA) -> None:
    async with FakeAmi(tls=server_context(authority.issue_cert("elsewhere.example.org"))) as server:
        assert "gets security events" in await probe(quick(server, tls=True, tls_verify=False))


async def expect_no_secret(server: FakeAmi, settings_changes: dict[str, object], words: str) -> None:
    async with running(quick(server, tls=True, **settings_changes)) as work:
        await until(lambda: work.reconnects >= 2, what="two tries")
        assert words in work.last_error
        assert not work.source.connected
    assert not server.received


async def test_an_unknown_authority_is_not_trusted(ca_file: Path) -> None:
    async with FakeAmi(tls=server_context(trustme.CA().issue_cert("127.0.0.1"))) as server:
        await expect_no_secret(server, {"tls_ca": ca_file}, "is not trusted")


async def test_without_a_ca_file_the_system_decides(authority: trustme.CA) -> None:
    async with FakeAmi(tls=server_context(authority.issue_cert("127.0.0.1"))) as server:
        await expect_no_secret(server, {}, "is not trusted")


async def test_a_certificate_for_another_name_is_not_trusted(authority: trustme.CA, ca_file: Path) -> None:
    async with FakeAmi(tls=server_context(authority.issue_cert("pbx.example.org"))) as server:
        await expect_no_secret(server, {"tls_ca": ca_file}, "is not trusted")


async def test_an_expired_certificate_is_not_trusted(authority: trustme.CA, ca_file: Path) -> None:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    async with FakeAmi(tls=server_context(authority.issue_cert("127.0.0.1", not_after=yesterday))) as server:
        await expect_no_secret(server, {"tls_ca": ca_file}, "expired")


async def test_a_port_without_tls_gets_no_secret(ca_file: Path) -> None:
    async with FakeAmi() as server:
        async with running(quick(server, tls=True, tls_ca=ca_file)) as work:
            await until(lambda: work.reconnects >= 2, what="two tries")
            assert "no TLS" in work.last_error
        assert b"amiguard" not in server.received


async def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    async with FakeAmi() as server:
        with pytest.raises(SourceError, match=r"missing\.pem"):
            await probe(quick(server, tls=True, tls_ca=tmp_path / "missing.pem"))
        assert server.connections == 0
