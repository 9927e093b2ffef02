"""Asterisk's configuration files, as far as advice on them needs: `main/config.c:process_text_line`.

Pure: text comes in. What `#include` names is for the caller to read and to put in its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

SECTION = re.compile(r"\[([^\]]*)\](?:\s*\(([^)]*)\))?")
SETTING = re.compile(r"([^=]+?)\s*(?:=>|=)\s*(.*)")
INCLUDE = re.compile(r"#(?:try)?include\s+[\"<]?([^\">]+)[\">]?")
DEEPEST = 5
"""How deep templates may inherit from one another; one that inherits from itself ends there."""

BLOCK = re.compile(r";--(?!-).*?(?:--;|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Setting:
    """One line `name = value`. `section` is "" before the first; an included file is a setting named `#include`. A
    heading has no name; its value is what it inherits from, as written: `[section](!,template)`."""

    file: str
    line: int
    section: str
    name: str
    value: str

    @property
    def place(self) -> str:
        """File and line, as editors and compilers write it."""
        return f"{self.file}:{self.line}"


def settings_of(text: str, file: str, section: str = "") -> Iterator[Setting]:
    """Yield the settings of one file in their order; comments are left out. `section` is that around an `#include`."""
    kept = BLOCK.sub(lambda found: "\n" * found[0].count("\n"), text)
    for number, raw in enumerate(kept.split("\n"), 1):
        line = re.split(r"(?<!\\);", raw, maxsplit=1)[0].strip()
        if found := INCLUDE.match(line):
            yield Setting(file, number, section, "#include", found[1].strip())
        elif found := SECTION.match(line):
            section = found[1].strip()
            yield Setting(file, number, section, "", found[2] or "")
        elif found := SETTING.match(line):
            yield Setting(file, number, section, found[1].strip().lower(), found[2].strip())


class Conf:
    """The settings of a file and of those that it includes. Names are compared as Asterisk does, without case."""

    def __init__(self, file: str, settings: Iterable[Setting]) -> None:
        self.file = file
        self._settings = list(settings)

    def section(self, name: str) -> Setting | None:
        """Return the heading of a section; None = there is no such section."""
        return next((one for one in self._settings if one.section == name and not one.name), None)

    def all(self, section: str, *names: str) -> Sequence[Setting]:
        """Return every setting of a section, or those of these names; what it inherits comes before its own."""
        return [one for one in self._inherited(section, DEEPEST) if not names or one.name in names]

    def first(self, section: str, name: str) -> Setting | None:
        """Return the setting that counts where Asterisk takes the first (`main/config.c:ast_variable_retrieve`)."""
        return next(iter(self.all(section, name)), None)

    def last(self, section: str, name: str) -> Setting | None:
        """Return the setting that counts where a later one replaces an earlier one, as in manager.conf."""
        found = self.all(section, name)
        return found[-1] if found else None

    def _inherited(self, section: str, depth: int) -> Iterator[Setting]:
        for one in self._settings:
            if one.section != section or one.name == "#include":
                continue
            if one.name:
                yield one
            elif depth:
                for template in one.value.split(","):
                    if template.strip() not in {"", "!", "+"}:
                        yield from self._inherited(template.strip(), depth - 1)


def is_true(value: str) -> bool:
    """Tell whether Asterisk takes a value for yes (`main/utils.c:ast_true`)."""
    return value.lower() in {"yes", "true", "y", "t", "1", "on"}
