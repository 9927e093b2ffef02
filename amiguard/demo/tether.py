"""`python -m amiguard.demo.tether FD PROGRAM ...`: run a program in the network namespace FD, and never longer than the
one who started it. A step of its own, because both must be done in the new process before the program begins."""

from __future__ import annotations

import os
import signal
import sys

from amiguard.demo.namespaces import check, enter, libc

PR_SET_PDEATHSIG = 1


def main(descriptor: str, *argv: str) -> None:
    """Become the program."""
    check(libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0))
    enter(int(descriptor))
    os.execvp(argv[0], argv)  # noqa: S606 -- no shell is wanted, and the arguments are the demo's own


if __name__ == "__main__":
    main(*sys.argv[1:])
