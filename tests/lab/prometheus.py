"""Debian's Prometheus, scraping a daemon in the daemon's network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import wait_until

LISTEN = "127.0.0.1:9090"


def promtool(root: Path, *arguments: str | Path, stdin: str | None = None) -> str:
    """Return what promtool of the chroot `root` says.

    Raises:
        AssertionError: it finds a mistake; the message holds its words.
    """
    command = [root / "usr/bin/promtool", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server."""

    namespace: NetworkNamespace

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API, version 1."""
        with (
            self.namespace.entered(),
            urlopen(f"http://{LISTEN}/api/v1/{path}?{urlencode(parameters)}", timeout=5) as answer,
        ):
            return json.load(answer)["data"]

    def value(self, query: str) -> float | None:
        """Return the value of a query with one result; None = it has none yet."""
        result = self.ask("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None


@contextmanager
def prometheus(root: Path, state: Path, config: str, namespace: NetworkNamespace) -> Iterator[Prometheus]:
    """Run the server of the chroot `root` with `config` in `namespace`; its data lies in `state`."""
    (state / "prometheus.yml").write_text(config)
    command: list[str | Path] = [
        root / "usr/bin/prometheus",
        f"--config.file={state / 'prometheus.yml'}",
        f"--storage.tsdb.path={state / 'data'}",
        f"--web.listen-address={LISTEN}",
    ]
    with (state / "console").open("wb") as console:
        process = namespace.popen(command, stdout=console, stderr=console, cwd=state)
    server = Prometheus(namespace)

    def answers() -> bool:
        if process.poll() is not None:
            raise AssertionError(f"prometheus ended:\n{(state / 'console').read_text()[-3000:]}")
        try:
            server.ask("status/buildinfo")
        except OSError:
            return False
        return True

    try:
        wait_until(answers, 30, "prometheus to answer")
        yield server
    finally:
        process.terminate()
        process.wait(20)
