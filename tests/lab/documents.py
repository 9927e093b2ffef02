"""The commands that the documents show."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str, section: str = "") -> list[str]:
    """Return the shell commands of a document (its path in the repository), or of one section of it, block by block."""
    text = (ROOT / document).read_text()
    if section:
        _, _, text = text.partition(f"\n## {section}\n")
        assert text, f"{document} has no section {section}"
        text = text.partition("\n## ")[0]
    return FENCE.findall(text)
