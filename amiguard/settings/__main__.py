"""What `apart` runs: checks the settings, and writes them, or the list of what is wrong, to the pipe."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from amiguard.errors import SettingsError
from amiguard.settings.loading import load


def main(arguments: list[str]) -> None:
    """Check what `load` reads; the argument replaces `AMIGUARD_ENV_FILE`."""
    try:
        answer: object = load(Path(arguments[0]) if arguments else None).plain()
    except SettingsError as error:
        answer = error.problems
    sys.stdout.buffer.write(pickle.dumps(answer))


main(sys.argv[1:])
