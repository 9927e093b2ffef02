"""Debian's CrowdSec out of a chroot, without hub and central API: its local API, and `cscli`."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import wait_until

URL = "http://127.0.0.1:8080"
MACHINE, PASSWORD, KEY = "amiguard", "canary-password", "canary-key"
ANOTHER = "key-of-another-bouncer"

CONFIG = """
common: {{daemonize: false, log_media: stdout, log_level: info, working_dir: .}}
config_paths:
  config_dir: {state}
  data_dir: {state}/data/
  simulation_path: {state}/simulation.yaml
  hub_dir: {root}/usr/share/crowdsec/hub
  index_path: {root}/usr/share/crowdsec/hub/.index.json
  notification_dir: {state}/notifications
  plugin_dir: {root}/usr/lib/crowdsec/plugins/
crowdsec_service: {{enable: false, acquisition_path: {state}/acquis.yaml, parser_routines: 1}}
cscli: {{output: json}}
db_config: {{log_level: info, type: sqlite, db_path: {state}/data/crowdsec.db}}
api:
  client: {{insecure_skip_verify: false, credentials_path: {state}/credentials.yaml}}
  server: {{log_level: info, listen_uri: 127.0.0.1:8080, profiles_path: {state}/profiles.yaml}}
prometheus: {{enabled: false}}
"""
PROFILES = """
name: default_ip_remediation
filters: ['Alert.Remediation == true && Alert.GetScope() == "Ip"']
decisions: [{type: ban, duration: 4h}]
on_success: break
"""


@dataclass
class CrowdSec:
    """One LAPI in a namespace; it may be ended and started again."""

    root: Path
    state: Path
    namespace: NetworkNamespace
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.state / "log").open("ab") as log:
            self.process = self.namespace.popen(
                [*self._program("crowdsec"), "-c", self.state / "config.yaml", "-no-cs"], stdout=log, stderr=log
            )
        wait_until(self._answers, 20, "CrowdSec answers")

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def cscli(self, *command: str) -> None:
        """Do what an administrator would."""
        self.namespace.run([*self._program("cscli"), "-c", str(self.state / "config.yaml"), *command])

    def decisions(self) -> dict[str, dict[str, Any]]:
        """Return the decisions in force, by whom they are about: what another bouncer is told."""
        request = Request(f"{URL}/v1/decisions", headers={"X-Api-Key": ANOTHER, "User-Agent": "another/1"})
        with self.namespace.entered(), urlopen(request, timeout=5) as answer:
            return {one["value"]: one for one in json.load(answer) or []}

    def _program(self, name: str) -> Sequence[str]:
        """Run it with the libraries that it was made for, whatever this machine has."""
        libraries = self.root / f"usr/lib/{platform.machine()}-linux-gnu"
        loader = next(libraries.glob("ld-linux*"))
        return [str(loader), "--library-path", str(libraries), str(self.root / "usr/bin" / name)]

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.state / "log").read_text()[-2000:]
        try:
            with self.namespace.entered(), urlopen(f"{URL}/health", timeout=1):
                return True
        except URLError as error:
            return "404" in str(error)


@contextmanager
def crowdsec(root: Path, state: Path, namespace: NetworkNamespace) -> Iterator[CrowdSec]:
    """Run the CrowdSec of the chroot `root` in `namespace`, with a machine and a bouncer; its files lie in `state`."""
    for folder in ("data", "notifications"):
        (state / folder).mkdir(parents=True)
    (state / "config.yaml").write_text(CONFIG.format(state=state, root=root))
    (state / "profiles.yaml").write_text(PROFILES)
    (state / "simulation.yaml").write_text("simulation: false\n")
    (state / "acquis.yaml").touch()
    (state / "credentials.yaml").write_text(f"url: {URL}\nlogin: {MACHINE}\npassword: {PASSWORD}\n")
    one = CrowdSec(root, state, namespace)
    one.cscli("machines", "add", MACHINE, "--password", PASSWORD, "-f", str(state / "credentials.yaml"))
    for name, key in ((MACHINE, KEY), ("another", ANOTHER)):
        one.cscli("bouncers", "add", name, "-k", key)
    one.start()
    try:
        yield one
    finally:
        one.end()
