"""Asterisk's certificate expires while the daemon runs."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import pytest
import trustme

from tests.lab.fakeami import FakeAmi, Script
from tests.lab.guessing import attempts
from tests.lab.stage import SECRET, stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

FIRST, SECOND = "198.18.0.7", "198.18.0.8"


async def test_an_expired_certificate_is_named_gets_no_secret_and_lets_nobody_in(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    valid = authority.issue_cert("127.0.0.1")
    valid.configure_cert(context)
    expired = authority.issue_cert("127.0.0.1", not_after=dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1))

    server = FakeAmi(Script(secret=SECRET), tls=context)
    async with stage(BANTIME="1h", AMI_TLS="true", AMI_TLS_CA=str(tmp_path / "ca.pem")) as place:
        with place.namespace.entered():
            await server.__aenter__()
        try:
            place.site.settings["AMI_PORT"] = str(server.port)
            daemon = await place.site.up()
            await server.play(b"".join(attempts([FIRST], 5)))
            await daemon.told("ban")
            logins = len(server.logins)

            expired.configure_cert(context)
            server.kick()
            await until(
                lambda: any("expired" in line["message"] for line in daemon.lines("ami-lost")), 20, "it is named"
            )
            assert not await place.arrives(FIRST)
            assert len(server.logins) == logins

            valid.configure_cert(context)
            await daemon.told("ami-connected", 2, timeout=60)
            await server.play(b"".join(attempts([SECOND], 5)))
            await daemon.told("ban", 2)
            assert not await place.arrives(SECOND)

            expired.configure_cert(context)
            server.kick()
            await daemon.told("ami-lost", len(daemon.lines("ami-lost")) + 1)
            assert await daemon.stop() == 0
            assert not await place.arrives(SECOND)
            assert daemon.errors == ""
        finally:
            await server.__aexit__(None, None, None)
