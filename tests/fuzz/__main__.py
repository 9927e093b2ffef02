"""Fuzz one target with atheris: `python -m tests.fuzz NAME SECONDS`; without any, tell the targets' names.

What breaks one is left in `build/fuzz/NAME/`; once mended, it belongs into `findings/NAME/`."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["amiguard"]):
    from tests.fuzz.corpus import seeds
    from tests.fuzz.targets import TARGETS, findings

LONGEST = 8192
"""Bytes of an input: more than a log line may have."""

PATIENCE = 5
"""Seconds that one input may take: what is superlinear shows here."""


def main(name: str, seconds: str) -> None:
    """Search; ends the process."""
    folder = Path("build/fuzz") / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate([*seeds(name), *findings(name)]):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={PATIENCE}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/", str(corpus)], TARGETS[name])
    atheris.Fuzz()


if sys.argv[1:]:
    main(*sys.argv[1:])
else:
    print(*TARGETS)
