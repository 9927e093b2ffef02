"""Asterisk's manager interface as a source of security events."""

from amiguard.sources.ami.handover import Handover
from amiguard.sources.ami.probe import probe
from amiguard.sources.ami.settings import AmiSettings
from amiguard.sources.ami.source import AmiSource

__all__ = ["AmiSettings", "AmiSource", "Handover", "probe"]
