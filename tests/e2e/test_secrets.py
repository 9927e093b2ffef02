"""No secret leaves the daemon but towards those whom it is meant for."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import AsyncExitStack

import pytest
from pydantic import SecretStr

from amiguard.settings import Settings
from tests.lab.daemon import ROOT
from tests.lab.fakeami import Script
from tests.lab.guessing import attacker
from tests.lab.limits import little_memory
from tests.lab.receiver import Receiver, receiving
from tests.lab.stage import SECRET, Stage
from tests.lab.waiting import until
from tests.smtp.servers import PASSWORD, Sink, smtp_server

pytestmark = pytest.mark.netns


def canary(setting: str) -> str:
    """Return what must be found nowhere, in the form that this setting wants: a new one gets a word of its own."""
    return {
        "ami_secret": SECRET,
        "smtp_password": PASSWORD,
        "webhook_url": f"http://user:{TOKEN}@127.0.0.1:1/{TOKEN}?auth={TOKEN}",
        "redis_url": f"redis://:{SHARED}@127.0.0.1:1/0",
        "feeds": f"list=http://user:{LISTED}@127.0.0.1:1/{LISTED}",
    }.get(setting, f"Canary-4711-of-{setting}")


TOKEN = "Canary-1147-of-the-webhook-url"
SHARED = "Canary-4418-of-the-fleet"
LISTED = "Canary-5521-of-a-list"
CANARIES = {name: canary(name) for name, info in Settings.model_fields.items() if info.annotation is SecretStr}
BEARER = CANARIES["http_token"]
SECRETS = {TOKEN, SHARED, LISTED, *CANARIES.values()}
ATTACKER = "198.18.0.7"
CROWD = [attacker(number) for number in range(10_000, 11_000)]
HTTP = "127.0.0.1:8585"
DOCUMENTS = ("/", "/healthz", "/readyz", "/metrics", *(f"/api/v1/{name}" for name in (
    "status", "bans", "allow", "timeline", "openapi.json", f"offenders/{ATTACKER}",
)))  # fmt: skip
COMMANDS = (("status",), ("banned",), ("allow",), ("show", ATTACKER), ("check",))
REFUSED = {
    "WEBHOOK_URL": f"ftp://user:{TOKEN}@127.0.0.1/{TOKEN}",
    "HTTP_TOKEN": "Canary-short",
}
"""Values that no daemon starts with."""


def tell_all(place: Stage) -> None:
    """Set every secret that there is, and what makes it be used."""
    place.site.settings |= {name.upper(): value for name, value in CANARIES.items()} | {
        "MAIL_TO": "ops@example.org",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_USERNAME": "guard",
        "CROWDSEC_URL": "http://127.0.0.1:1",
        "CROWDSEC_MACHINE": "amiguard",
        "WHOIS": "false",
        "HTTP_LISTEN": HTTP,
        "LOG_LEVEL": "debug",
    }


def left_behind(place: Stage) -> bytes:
    """Return everything that lies in the daemon's folder: logs, errors, database, spool."""
    return b"".join(path.read_bytes() for path in place.site.folder.rglob("*") if path.is_file())


def answered(place: Stage, path: str, token: str) -> str:
    """Return what the control interface answers over TCP, its headers too."""
    curl = ["curl", "-si", "--max-time", "20", "-H", f"Authorization: Bearer {token}", f"http://{HTTP}{path}"]
    return place.namespace.run(curl).stdout


def printed(place: Stage, *command: str) -> str:
    """Return all that a command writes."""
    environment = [f"{name}={value}" for name, value in place.site.environment.items()]
    argv = ["env", "-C", str(ROOT), *environment, sys.executable, "-m", "amiguard", *command, "--json"]
    done = place.namespace.run(argv, check=False)
    return done.stdout + done.stderr


async def test_secrets_are_in_no_log_no_argument_and_no_file(place: Stage) -> None:
    tell_all(place)
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
    for secret in SECRETS:
        assert secret.encode() not in arguments + left_behind(place)
        assert secret not in status


async def test_secrets_are_in_no_answer_of_the_control_interface_and_in_no_output(place: Stage) -> None:
    tell_all(place)
    daemon = await place.site.up()
    await place.guess(ATTACKER, times=5)
    await daemon.told("ban")
    right = {path: answered(place, path, BEARER) for path in DOCUMENTS}
    wrong = [answered(place, path, f"{BEARER}x") for path in DOCUMENTS]
    outputs = {command: printed(place, *command) for command in COMMANDS}
    assert await daemon.stop() == 0

    assert {path: text.split(" ", 2)[1] for path, text in right.items()} == dict.fromkeys(DOCUMENTS, "200")
    assert {command for command, text in outputs.items() if not text.startswith(("{", "["))} == set()
    for secret in SECRETS:
        assert [text for text in [*right.values(), *wrong, *outputs.values()] if secret in text] == []


async def test_what_is_posted_holds_no_secret(place: Stage) -> None:
    async with AsyncExitStack() as stack:
        with place.namespace.entered():
            receiver = await stack.enter_async_context(receiving(Receiver()))
        tell_all(place)
        place.site.settings["WEBHOOK_URL"] = f"{receiver.url}&auth={TOKEN}"
        daemon = await place.site.up()
        await place.guess(ATTACKER, times=5)
        await until(lambda: len(receiver.got) >= 2, what="the webhooks of start and ban")
        assert await daemon.stop() == 0

    assert all(TOKEN in posted.path for posted in receiver.got)
    for posted in receiver.got:
        assert [secret for secret in SECRETS if secret in f"{posted.headers}{posted.body!r}"] == []


@pytest.mark.parametrize("setting", REFUSED)
async def test_a_refused_setting_is_not_shown(place: Stage, setting: str) -> None:
    tell_all(place)
    place.site.settings[setting] = REFUSED[setting]

    told = printed(place, "check")

    assert f"AMIGUARD_{setting}" in told
    assert "Canary" not in told


async def test_a_refused_login_does_not_tell_the_secret(place: Stage) -> None:
    tell_all(place)
    place.server.script = Script(secret="another")
    daemon = place.site.start()

    (line,) = await daemon.told("ami-lost")

    assert line["error.type"] == "LoginRefused"
    assert await daemon.stop() == 0
    assert SECRET.encode() not in left_behind(place)


def test_whatever_is_called_a_secret_is_one() -> None:
    words = {"secret", "password", "token", "key", "credentials"}

    assert {name for name in Settings.model_fields if words & set(name.split("_"))} <= CANARIES.keys()


async def test_what_is_mailed_holds_no_secret(place: Stage) -> None:
    sink = Sink()
    async with AsyncExitStack() as stack:
        with place.namespace.entered():
            await stack.enter_async_context(smtp_server(sink, auth=True))
        tell_all(place)
        place.site.settings |= {"SMTP_PORT": str(sink.port), "SMTP_TLS": "none", "MAIL_DIGEST": "1s"}
        daemon = await place.site.up()
        await place.guess(ATTACKER, times=5)
        await daemon.told("mail-sent", 2)
        assert await daemon.stop() == 0

    told = [str(envelope.content) for envelope in sink.envelopes]
    assert len(told) >= 3  # of the start, of the ban, of the end
    assert [secret for secret in SECRETS for text in told if secret in text] == []


async def test_whatever_ends_the_daemon_shows_no_secret(place: Stage) -> None:
    tell_all(place)
    first = await place.site.up()
    twin = place.site.start()
    assert await twin.ended() == 1  # the socket is taken
    with little_memory(first, 1 << 20):
        await place.guess(*CROWD, times=40)
        await until(lambda: first.process.poll() is not None or len(first.banned()) == len(CROWD), 60, "its end")
    assert await (first.ended() if first.process.poll() is not None else first.stop()) in {0, 1, -signal.SIGSEGV}
    thief = place.namespace.popen(["sh", "-c", "exec nft -i >/dev/null"], stdin=subprocess.PIPE)
    assert thief.stdin is not None
    thief.stdin.write(b"delete table inet amiguard; add table inet amiguard { flags owner; }\n")
    thief.stdin.flush()
    refused = place.site.start()
    assert await refused.ended() == 1  # the table is another's
    thief.stdin.close()
    thief.wait()

    assert {line["error.type"] for life in (twin, refused) for line in life.lines() if "error.type" in line} >= {
        "ControlError",
        "FirewallError",
    }
    assert any("error.stack_trace" in line for life in (twin, refused) for line in life.lines())
    for secret in SECRETS:
        assert secret.encode() not in left_behind(place)
    assert first.errors == "" or "MemoryError" in first.errors  # of the interpreter itself
    place.site.lives.remove(first)
