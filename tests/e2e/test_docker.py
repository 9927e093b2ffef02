"""What docs/install.md says of containers: its commands, run as they stand by the real Docker and its Compose.

There is no Kubernetes here. Podman plays its objects instead, and the real kubectl reads the deployment."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.asterisk import ETC, SERVER4, SERVER6, network
from tests.lab.daemon import elements
from tests.lab.docker import Docker, docker
from tests.lab.documents import ROOT, blocks
from tests.lab.netns import NetworkNamespace
from tests.lab.sip import Phone
from tests.lab.transports import bound, connect
from tests.lab.waiting import until, wait_until
from tests.lab.wheels import wheelhouse

pytestmark = [pytest.mark.netns, pytest.mark.timeout(300)]

BUILD, RUN, COMPOSE = range(3)
"""The blocks of the section: what each is about."""

BASE = re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
USER = 990
ATTACKER, BYSTANDER = "10.99.150.1", "10.99.150.2"
ATTACKER6, BYSTANDER6 = "fd99:1::1", "fd99:1:0:0:1::1"
PUBLISHED = 15060
ECHO = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("", 5060))
    while True:
        server.sendto(*server.recvfrom(100))
"""
SOONER = "--health-interval=2s"
"""What is added to the documented command, or Docker would first ask after 30 s."""

CONFIGURATION = {
    "manager.conf": "[general]\nenabled = yes\nbindaddr = 127.0.0.1\n",
    "modules.conf": (ETC / "pjsip/modules.conf").read_text(),
    "pjsip.conf": """
[udp]
type = transport
protocol = udp
bind = 0.0.0.0
[6001]
type = endpoint
auth = 6001
aors = 6001
[6001]
type = auth
auth_type = userpass
username = 6001
password = pw6001
[6001]
type = aor
max_contacts = 1
""",
}
"""What an administrator has in `/etc/asterisk` before amiguard comes."""

READY = "^ready +yes$"
WITH_CONFIGURATION = "FROM your-asterisk\nCOPY . /etc/asterisk\n"
POD = "asterisk-pod"


@dataclass
class Host:
    """A host with Docker and Asterisk, and the network of those who attack it."""

    docker: Docker
    network: NetworkNamespace
    attackers: NetworkNamespace

    async def sh(self, script: str) -> str:
        """Run a script on the host while the loop goes on."""
        return await asyncio.to_thread(self.docker.sh, script)

    async def guess(self, source: str, patience: float = 5) -> bool:
        """Try a wrong password, and tell whether Asterisk answered."""
        async with connect(self.attackers, source, SERVER4) as connection:
            try:
                async with asyncio.timeout(patience):
                    return await Phone(connection, "6001", "wrong").register() == 401
            except TimeoutError:
                return False

    async def attacked(self) -> None:
        """Let the attacker guess until he is banned in the kernel."""
        for _ in range(5):
            assert await self.guess(ATTACKER)
        await until(lambda: self.banned() == [ATTACKER], what="the ban in the kernel")

    def banned(self) -> list[str]:
        """Return whom the kernel drops."""
        return [address for strength in ("unproven4", "banned4") for address in elements(self.network, strength)]


@pytest.fixture(scope="module")
def host(
    docker_root: Path, debian12_root: Path, asterisk22_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    """A host whose Docker has a base for amiguard and the image of an Asterisk."""
    folder = tmp_path_factory.mktemp("docker")
    with network() as (server, attackers), docker(docker_root, folder, wheelhouse(), ROOT, server) as machine:
        machine.take_base(BASE, debian12_root)
        machine.take("your-asterisk", asterisk22_root, 'CMD ["asterisk", "-f"]')
        machine.sh("mkdir /etc/asterisk")
        yield Host(machine, server, attackers)


@pytest.fixture
def configured(host: Host) -> Iterator[Host]:
    """The host with the configuration of an Asterisk that knows nothing of amiguard."""
    for name, text in CONFIGURATION.items():
        (host.docker.root / "etc/asterisk" / name).write_text(text)
    yield host
    host.network.run(["nft", "delete", "table", "inet", "amiguard"], check=False)  # bans outlast every daemon


@pytest.fixture
def asterisk(configured: Host) -> Iterator[Host]:
    """The host, and Asterisk on its network."""
    machine = configured.docker
    machine.sh("printf '#!/bin/sh\\nexec docker exec asterisk asterisk \"$@\"\\n' > /usr/local/bin/asterisk")
    machine.sh("chmod +x /usr/local/bin/asterisk")
    machine.sh("docker run --detach --name asterisk --network host -v /etc/asterisk:/etc/asterisk:ro your-asterisk")
    booted = "asterisk -rx 'core waitfullybooted'"
    wait_until(lambda: "fully booted" in machine.sh(booted, check=False), 60, "Asterisk to be ready")
    yield configured
    machine.sh("docker rm --force --volumes asterisk")


@pytest.fixture
def guarded(asterisk: Host) -> Iterator[Host]:
    """The host with amiguard on it, built and started as the document says."""
    commands = blocks("docs/install.md", "Docker and Podman")
    asterisk.docker.sh(commands[BUILD])
    run, logs, status = commands[RUN].replace("\\\n", "").splitlines()
    asterisk.docker.sh(run.replace("--detach", f"--detach {SOONER}"))
    wait_until(lambda: connected(asterisk, logs), 20, "a connection to Asterisk")
    assert re.search(READY, asterisk.docker.sh(status), re.MULTILINE)
    yield asterisk
    asterisk.docker.sh("docker rm --force amiguard; docker volume rm amiguard")


def connected(host: Host, logs: str) -> bool:
    return "ami-connected" in host.docker.sh(f"{logs} 2>&1")


def command(words: str) -> str:
    """Return what the document says runs a command in the container."""
    status = blocks("docs/install.md", "Docker and Podman")[RUN].splitlines()[-1]
    return f"{status.removesuffix('status')}{words}"


async def ready(host: Host) -> bool:
    shown = await asyncio.to_thread(host.docker.sh, command("status"), check=False)
    return re.search(READY, shown, re.MULTILINE) is not None


async def test_run_as_documented_it_bans_whom_asterisk_tells_of_with_net_admin_alone(guarded: Host) -> None:
    pid = guarded.docker.inspect("amiguard", ".State.Pid")
    shown = guarded.docker.sh(f"grep -E '^(Uid|CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/{pid}/status")

    await guarded.attacked()
    assert not await guarded.guess(ATTACKER, patience=1)
    assert await guarded.guess(BYSTANDER)
    await guarded.docker.becomes("amiguard", ".State.Health.Status", "healthy")
    assert shown.split("\n") == [
        "Uid:" + f"\t{USER}" * 4,
        f"CapPrm:\t{1 << 12:016x}",
        f"CapBnd:\t{1 << 12:016x}",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "",
    ]


async def test_bans_outlast_its_stop_its_start_and_its_death(guarded: Host) -> None:
    await guarded.attacked()

    await guarded.sh("docker stop amiguard")
    assert guarded.docker.inspect("amiguard", ".State.ExitCode") == "0"
    assert guarded.banned() == [ATTACKER]
    assert not await guarded.guess(ATTACKER, patience=1)

    await guarded.sh("docker start amiguard")
    await until(lambda: ready(guarded), 20, "what Docker has started to be ready")
    shown = await guarded.sh(command("banned"))
    assert ATTACKER in shown, shown

    await guarded.sh(f"kill -KILL {guarded.docker.inspect('amiguard', '.State.Pid')}")
    await guarded.docker.becomes("amiguard", ".RestartCount", "1")
    await until(lambda: ready(guarded), 20, "what Docker has restarted to be ready")
    assert guarded.banned() == [ATTACKER]
    assert not await guarded.guess(ATTACKER, patience=1)


@pytest.mark.parametrize(
    ("server", "attacker", "bystander"),
    [(SERVER4, ATTACKER, BYSTANDER), (SERVER6, ATTACKER6, BYSTANDER6)],
    ids=["by Docker's rules", "by its proxy"],
)
async def test_who_is_banned_reaches_no_port_that_docker_publishes(
    guarded: Host, server: str, attacker: str, bystander: str
) -> None:
    numbers = count()
    (guarded.docker.root / "tmp/echo.py").write_text(ECHO)
    run = f"docker run --detach --name published --publish {PUBLISHED}:5060/udp -v /tmp/echo.py:/echo.py:ro"
    await guarded.sh(f"{run} {BASE} python3 -u /echo.py")
    try:
        with (
            closing(bound(guarded.attackers, attacker, socket.SOCK_DGRAM)) as one,
            closing(bound(guarded.attackers, bystander, socket.SOCK_DGRAM)) as other,
        ):

            async def answered(source: socket.socket) -> bool:
                loop, sent = asyncio.get_running_loop(), str(next(numbers)).encode()
                await loop.sock_sendto(source, sent, (server, PUBLISHED))
                try:
                    async with asyncio.timeout(1):
                        while await loop.sock_recv(source, 100) != sent:
                            pass  # a late answer to what was sent before
                        return True
                except TimeoutError:
                    return False

            await until(lambda: answered(one), what="the published service")
            await guarded.sh(command(f"ban {attacker}"))
            assert not await answered(one)
            await until(lambda: answered(other), what="the same service, for others")
            await guarded.sh(command(f"unban {attacker}"))
            await until(lambda: answered(one), what="the published service again")
    finally:
        await guarded.sh("docker rm --force published")


async def test_compose_brings_up_asterisk_and_its_guard(configured: Host) -> None:
    await configured.sh("docker image rm --force amiguard")
    try:
        await configured.sh(blocks("docs/install.md", "Docker and Podman")[COMPOSE])
        await until(lambda: connected(configured, "docker logs compose-amiguard-1"), 30, "a connection to Asterisk")
        await configured.attacked()
        assert not await configured.guess(ATTACKER, patience=1)
        assert await configured.guess(BYSTANDER)
        written = await configured.sh("docker logs compose-amiguard-1; docker inspect compose-amiguard-1")
        assert (configured.docker.root / "repository/deploy/compose/amiguard_ami_secret").read_text() not in written
    finally:
        await configured.sh("cd deploy/compose; ASTERISK_IMAGE=your-asterisk docker compose down --volumes")


def test_kubectl_knows_every_field_of_the_deployment(host: Host) -> None:
    path = "deploy/kubernetes/deployment.yaml"
    image = "asterisk=your-asterisk"
    shown = host.docker.sh(f"kubectl set image --local --filename {path} {image} --output json")

    deployment = yaml.safe_load((ROOT / path).read_text())
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "your-asterisk"
    assert within(deployment, json.loads(shown))  # it leaves out what it does not know


async def test_the_pod_of_kubernetes_protects_its_network(configured: Host) -> None:
    machine = configured.docker
    secret = "canary-4711-of-the-manager"
    machine.sh(f"sed 's/CHANGE-ME/{secret}/' deploy/asterisk/manager.conf >> /etc/asterisk/manager.conf")
    objects = for_podman(secret)
    asterisk, amiguard = objects[-1]["spec"]["template"]["spec"]["containers"]
    build = f"docker build --quiet --file - --tag {asterisk['image']} /etc/asterisk"
    machine.sh(f"{build} <<'END'\n{WITH_CONFIGURATION}END\ndocker build --quiet --tag {amiguard['image']} .")
    machine.give_to_podman(asterisk["image"], amiguard["image"])
    (machine.root / "tmp/pod.yaml").write_text(yaml.safe_dump_all(objects))
    try:
        await configured.sh("podman kube play /tmp/pod.yaml")
        await until(lambda: connected(configured, f"podman logs {POD}-amiguard"), 30, "a connection to Asterisk")
        await configured.attacked()
        assert not await configured.guess(ATTACKER, patience=1)
        assert await configured.guess(BYSTANDER)

        inside = f"podman exec {POD}-amiguard"
        [status] = re.findall(r"^kubectl exec .* -- (.*)$", blocks("docs/install.md", "Kubernetes")[0], re.MULTILINE)
        assert re.search(READY, await configured.sh(f"{inside} {status}"), re.MULTILINE)
        for probe in ("readinessProbe", "livenessProbe"):
            await configured.sh(f"{inside} {shlex.join(amiguard[probe]['exec']['command'])}")
        await configured.sh(f"podman stop {POD}-amiguard")
        assert await configured.sh(f"podman inspect --format '{{{{.State.ExitCode}}}}' {POD}-amiguard") == "0\n"
        assert configured.banned() == [ATTACKER]
    finally:
        await configured.sh("podman pod rm --all --force --time 0")


def for_podman(secret: str) -> list[Any]:
    """Return the objects as an administrator would edit them, without what Podman can't do.

    It knows no fsGroup, so the user 990 could not read the secret nor write to a folder in memory, and it keeps claims
    and secrets under one name."""
    claim, deployment, password = (
        yaml.safe_load((ROOT / "deploy/kubernetes" / f"{name}.yaml").read_text())
        for name in ("claim", "deployment", "secret")
    )
    password["stringData"]["amiguard_ami_secret"] = secret
    password["metadata"]["name"] = "amiguard-secret"
    pod = deployment["spec"]["template"]["spec"]
    networks = next(one for one in pod["containers"][1]["env"] if one["name"] == "AMIGUARD_IGNOREIP")
    networks["value"] = "127.0.0.0/8 ::1"
    for volume in pod["volumes"]:
        if "secret" in volume:
            volume["secret"] = {"secretName": "amiguard-secret", "defaultMode": 0o444}
        elif "emptyDir" in volume:
            volume["emptyDir"] = {}
    return [claim, password, deployment]


def within(part: Any, whole: Any) -> bool:
    """Tell whether `whole` has all that `part` has; objects may have more."""
    if isinstance(part, dict):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(within, part, whole))
    return bool(part == whole)
