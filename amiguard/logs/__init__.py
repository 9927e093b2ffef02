"""amiguard's own log."""

from amiguard.logs.journal import StructuredJournal, open_journal

__all__ = ["StructuredJournal", "open_journal"]
