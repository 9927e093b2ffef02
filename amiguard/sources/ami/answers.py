"""Answers of Asterisk, block by block: what we asked for, and nothing else of them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

LONGEST = 20_000
"""Events of a list that are kept."""


def headers_of(lines: Iterable[bytes]) -> dict[str, str]:
    """Return the headers in these lines; of two with one name the first."""
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode("utf-8", "replace").partition(": ")
        headers.setdefault(name, value)
    return headers


def action_of(block: bytes) -> str:
    """Return the ActionID of an event that belongs to a list, where Asterisk writes it: in the second line."""
    second = block.partition(b"\r\n")[2].partition(b"\r\n")[0]
    return second.removeprefix(b"ActionID: ").decode("ascii", "replace") if second.startswith(b"ActionID: ") else ""


class ListAnswer:
    """A list that is being read: of each `event` these `fields`. Everything else is dropped unread, for there are
    passwords among it."""

    def __init__(self, event: str, fields: Collection[str]) -> None:
        self._event = f"Event: {event}".encode()
        self._fields = frozenset(field.encode() for field in fields)
        self._room = LONGEST

    def read(self, block: bytes) -> dict[str, str] | None:
        """Return what is wanted of one event; of the list's end, its name. None = nothing."""
        head, *lines = block.split(b"\r\n")
        if head == self._event and self._room:
            self._room -= 1
            return headers_of([head, *(line for line in lines if line.partition(b": ")[0] in self._fields)])
        return headers_of([head]) if head.endswith(b"Complete") else None
