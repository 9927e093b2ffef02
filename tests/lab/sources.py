"""A source that only tells how it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amiguard.ports import Position


@dataclass(frozen=True)
class FixedSource:
    state: Mapping[str, object]

    def status(self) -> Mapping[str, object]:
        return self.state

    def positions(self) -> Sequence[Position]:
        return ()

    async def run(self) -> None:
        pass
