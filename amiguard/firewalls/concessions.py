"""What is given up where a kernel lacks what a rule needs. It is found out by trying, and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from errno import EINVAL, ENOENT, EOPNOTSUPP

from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import Message
from amiguard.firewalls.treatment import Treatment

UNABLE = {ENOENT, EOPNOTSUPP, EINVAL}
"""What a kernel answers to a rule whose module it lacks, or that may not stand there."""


def concession(
    error: Refused, treatment: Treatment, layout_of: Callable[[Treatment], Sequence[Message]]
) -> tuple[Treatment, str] | None:
    """Return a weaker treatment that may work, and in words what is missing; None: it would meet the same refusal.

    Kernels that look at a rule only when all is committed refuse no message but the whole."""
    refused = error.message
    if error.errno not in UNABLE or not (refused is None or refused in layout_of(treatment)):
        return None
    for weaker, lack in treatment.weaker():
        if refused is None or refused not in layout_of(weaker):
            return weaker, lack
    return None
