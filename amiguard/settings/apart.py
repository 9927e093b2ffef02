"""Has the settings checked in a process of its own, for a daemon keeps what it imports: pydantic, and all that it makes
of the settings, would be 15 MB of its memory, used once.

That process is this Python with our environment, and does what `load` does (`__main__.py`). The values come through a
pipe, so that no secret stands in a command line."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from amiguard.errors import SettingsError
from amiguard.settings.values import settings_of

if TYPE_CHECKING:
    from amiguard.settings import Settings

PATIENCE = 30
"""Seconds that it gives itself: an overloaded machine is slow, and a dead network file system never answers."""


FOREIGN = (pickle.UnpicklingError, ImportError, AttributeError, TypeError, ValueError, EOFError)
"""What is raised over values of another version, whose types are elsewhere or of another form."""


class Checking:
    """Settings that are being checked, while we do something else.

    `env_file` replaces `AMIGUARD_ENV_FILE`. Raises SettingsError: no process can be started."""

    def __init__(self, env_file: Path | None = None) -> None:
        # -P: what lies in the folder where we were started is not imported.
        command = [sys.executable, "-P", "-m", "amiguard.settings", *([] if env_file is None else [str(env_file)])]
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- no shell, and nothing of it is a stranger's
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
            )
        except OSError as error:
            raise SettingsError([f"the settings can't be checked: {error.strerror}"]) from error

    def result(self) -> Settings:
        """Wait for the settings, and return them.

        Raises:
            SettingsError: with a line for each setting that is wrong or does not exist; none shows a secret's value.
        """
        told, _ = self._process.communicate()
        if status := self._process.returncode:
            why = (
                f"they could not be read within {PATIENCE} s" if status == -signal.SIGALRM else f"exit status {status}"
            )
            raise SettingsError([f"the settings can't be checked: {why}"])
        try:
            answer = pickle.loads(told)  # noqa: S301 -- our own program wrote it into our own pipe
        except FOREIGN as error:
            raise SettingsError(
                ["amiguard was upgraded since it runs: restart it, to have the settings read"]
            ) from error
        if isinstance(answer, list):
            raise SettingsError(answer)
        return settings_of(answer)


def load_apart(env_file: Path | None = None) -> Settings:
    """Return what `load` returns, as plain values. Raises SettingsError as `load` does."""
    return Checking(env_file).result()
