"""Asterisk's log files as a source: every line once, in order, whatever rotates them."""

from amiguard.sources.logfile.intake import LogIntake, kind_at
from amiguard.sources.logfile.opening import probe
from amiguard.sources.logfile.source import LogSource

__all__ = ["LogIntake", "LogSource", "kind_at", "probe"]
