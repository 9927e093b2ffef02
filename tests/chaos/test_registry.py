"""The registry that is asked who holds an address is dead, silent, slow or lying: the mail goes without its word."""

from __future__ import annotations

from pathlib import Path

import pytest

from amiguard.model import Target
from tests.chaos.services import Service, Talk, be_silent, dawdle, lie, take_mail
from tests.lab.daemon import unprivileged
from tests.lab.dnsserver import Zone, serving
from tests.lab.guessing import attacker
from tests.lab.stage import stage

pytestmark = pytest.mark.netns

REGISTRY = "rdap.arin.net"
HELD = Target("8.8.8.8")
"""An address that somebody holds; those of the tests are reserved, and nobody is asked about them."""


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(None, id="dead"),
        pytest.param(be_silent, id="silent"),
        pytest.param(dawdle, id="slow", marks=pytest.mark.chaos),
        pytest.param(lie, id="lying", marks=pytest.mark.chaos),
    ],
)
async def test_a_registry_delays_no_ban_and_keeps_neither_a_mail_nor_the_end_waiting(
    tmp_path: Path, talk: Talk | None
) -> None:
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    async with stage(BANTIME="1h", WHOIS="true", MAIL_TO="ops@example.org", SMTP_HOST="127.0.0.1") as place:
        mail, registry = Service(place.namespace, take_mail), Service(place.namespace, talk or be_silent, 443)
        with place.namespace.entered():
            server = serving(Zone({(REGISTRY, "A"): ["127.0.0.1"]}))
            await server.__aenter__()
        try:
            await mail.open()
            if talk is not None:
                await registry.open()
            place.site.give_to_nobody()
            place.site.settings |= {"SMTP_PORT": str(mail.port), "SMTP_TLS": "none", "MAIL_EVENTS": "ban"}
            daemon = place.site.start(unprivileged(resolver))
            await daemon.told("ami-connected")
            await daemon.control.ban(HELD, 3600, "chaos")
            await place.guess(attacker(1), times=5)
            await daemon.told("ban", 2, timeout=2)
            await daemon.told("mail-sent")

            await daemon.control.unban(HELD)
            await daemon.control.ban(HELD, 3600, "chaos")
            assert await daemon.stop() == 0  # while the digest asks again
            assert HELD in place.site.kernel()
            assert daemon.errors == ""
        finally:
            await mail.close()
            await registry.close()
            await server.__aexit__(None, None, None)
