"""What a rule may conclude."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from amiguard.journal import Action
from amiguard.model import Ban


class Alarm(NamedTuple):
    """Something that the administrator should look at; it bans nobody."""

    action: Action
    text: str
    fields: Mapping[str, object]


Verdicts = Sequence[Ban | Alarm]
"""What one event leads to; the ban of the very address that failed, if there is one, stands first."""

NOTHING: Verdicts = ()
