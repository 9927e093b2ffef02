"""What `apart` runs: checks the settings, and writes them, or the list of what is wrong, to the pipe."""

from __future__ import annotations

import pickle
import signal
import sys
from pathlib import Path

from amiguard.errors import SettingsError
from amiguard.settings.apart import PATIENCE
from amiguard.settings.loading import load


def main(arguments: list[str]) -> None:
    """Check what `load` reads, or be ended by SIGALRM; the argument replaces `AMIGUARD_ENV_FILE`."""
    signal.alarm(PATIENCE)
    try:
        answer: object = load(Path(arguments[0]) if arguments else None).plain()
    except SettingsError as error:
        answer = error.problems
    sys.stdout.buffer.write(pickle.dumps(answer))


main(sys.argv[1:])
