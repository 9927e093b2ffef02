"""Who is never banned, seen from outside: a daemon, real DNS packets, and the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.daemon import COMMAND
from tests.lab.dnsserver import Zone, serving
from tests.lab.stage import stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

OFFICE, STRANGER = "198.18.7.1", "198.18.7.2"
NAME = "office.example.org"


def with_resolver(folder: Path) -> list[str | Path]:
    """Return the command that starts the daemon where `/etc/resolv.conf` names a server of the test's."""
    conf = folder / "resolv.conf"
    conf.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    return ["unshare", "--mount", "sh", "-euc", 'mount --bind "$0" /etc/resolv.conf; exec "$@"', conf, *COMMAND]


async def test_a_name_lifts_the_ban_of_its_address_as_soon_as_it_is_resolved(tmp_path: Path) -> None:
    zone = Zone({(NAME, "A"): [OFFICE]}, ttl=60, dead=True)
    async with stage(IGNOREIP=NAME) as made:
        daemon = made.site.start(with_resolver(tmp_path))
        await daemon.told("ami-connected")
        with made.namespace.entered():
            server = serving(zone)
            await server.__aenter__()
        try:
            await made.guess(OFFICE, STRANGER, times=5)
            await daemon.told("ban", 2)
            assert not await made.arrives(OFFICE)
            await daemon.told("name-failed")

            zone.dead = False
            (line,) = await daemon.told("unban")
            assert line["source.ip"] == OFFICE
            assert OFFICE in made.site.allowed()
            assert await made.arrives(OFFICE)
            assert not await made.arrives(STRANGER)

            await made.guess(OFFICE, times=5)
            await daemon.told("ban-skipped")
            zone.dead = True
            assert await made.arrives(OFFICE)
            assert await daemon.stop() == 0
            assert daemon.errors == ""

            daemon = made.site.start(with_resolver(tmp_path))
            await daemon.told("ami-connected")
            assert OFFICE in made.site.allowed()
            assert await daemon.stop() == 0
            assert daemon.errors == ""
        finally:
            await server.__aexit__(None, None, None)


async def test_an_address_that_this_host_gets_is_allowed_at_once(tmp_path: Path) -> None:
    async with stage(SMTP_HOST="198.18.9.9", MAIL_TO="ops@example.org", WHOIS="false") as made:
        daemon = await made.site.up()
        await until(lambda: "198.18.9.9" in made.site.allowed(), what="the mail server is allowed")
        await made.guess(OFFICE, times=5)
        await daemon.told("ban")
        assert not await made.arrives(OFFICE)

        made.namespace.run(["ip", "address", "add", f"{OFFICE}/32", "dev", "lo"])
        await daemon.told("unban")
        assert await made.arrives(OFFICE)
        made.namespace.run(["ip", "address", "del", f"{OFFICE}/32", "dev", "lo"])
        await until(lambda: OFFICE not in made.site.allowed(), what="the address is a stranger's again")
        assert await daemon.stop() == 0
        assert daemon.errors == ""
