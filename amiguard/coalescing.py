"""When to do what is done again and again: at moments that all of it shares, for to wake up costs an idle daemon more
than what it then does. Pure."""

from __future__ import annotations


def until_next(period: float, now: float) -> float:
    """Return the seconds from `now`, by the event loop's clock, to the next multiple of `period`: never 0, at most
    `period`."""
    return period - now % period
