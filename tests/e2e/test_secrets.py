"""No secret leaves the daemon but towards those whom it is meant for."""

from __future__ import annotations

import pytest

from tests.lab.fakeami import Script
from tests.lab.stage import SECRET, Stage

pytestmark = pytest.mark.netns

PASSWORD = "Canary-0815-of-the-mail-server"
TOKEN = "Canary-1147-of-the-webhook-url"
SIGNING = "Canary-2292-of-the-webhook"
ATTACKER = "198.18.0.7"


def mail(place: Stage) -> None:
    place.site.settings |= {
        "MAIL_TO": "ops@example.org",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_USERNAME": "amiguard",
        "SMTP_PASSWORD": PASSWORD,
        "WHOIS": "false",
        "WEBHOOK_URL": f"http://user:{TOKEN}@127.0.0.1:1/{TOKEN}?auth={TOKEN}",
        "WEBHOOK_SECRET": SIGNING,
        "LOG_LEVEL": "debug",
    }


def left_behind(place: Stage) -> bytes:
    """Return everything that lies in the daemon's folder: logs, errors, database, spool."""
    return b"".join(path.read_bytes() for path in place.site.folder.rglob("*") if path.is_file())


async def test_secrets_are_in_no_log_no_argument_and_no_file(place: Stage) -> None:
    mail(place)
    daemon = await place.site.up()
    await place.guess(ATTACKER, times=5)
    await daemon.told("ban")
    await daemon.told("mail-failed")
    await daemon.told("webhook-failed")
    place.server.kick()
    await daemon.told("ami-lost")
    arguments = daemon.arguments()
    status = str(await daemon.status())
    assert await daemon.stop() == 0

    assert place.server.logins[0]["Secret"] == SECRET
    for secret in (SECRET, PASSWORD, TOKEN, SIGNING):
        assert secret.encode() not in arguments + left_behind(place)
        assert secret not in status


async def test_a_refused_login_does_not_tell_the_secret(place: Stage) -> None:
    mail(place)
    place.server.script = Script(secret="another")
    daemon = place.site.start()

    (line,) = await daemon.told("ami-lost")

    assert line["error.type"] == "LoginRefused"
    assert await daemon.stop() == 0
    assert SECRET.encode() not in left_behind(place)
