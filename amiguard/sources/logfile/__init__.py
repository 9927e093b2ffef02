"""Asterisk's log files as a source: every line once, in order, whatever rotates them."""

from amiguard.sources.logfile.dating import skew
from amiguard.sources.logfile.intake import SKEW, LogIntake, kind_at
from amiguard.sources.logfile.opening import probe
from amiguard.sources.logfile.source import LogSource

__all__ = ["SKEW", "LogIntake", "LogSource", "kind_at", "probe", "skew"]
