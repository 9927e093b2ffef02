"""What stands before the message of a log line: when, which level, which thread, which of Asterisk's files.

Asterisk writes (`main/logger.c`):
`[date] LEVEL[thread][call] file: message` into files (`format_log_default`),
`[date] LEVEL[thread][call]: file:line function: message` into `[plain]` files and on the console (there in colour), and
`LEVEL[thread][call]: file:line in function: message` into syslog, which puts a part of its own before it.

Both patterns capture, in this order, the stamp of syslog, the date, the level, the thread and the file; the message
begins at their end. Levels that tell of no attempt do not match."""

from __future__ import annotations

import re

LEVELS = rb"NOTICE|WARNING|ERROR|SECURITY"

ORIGIN = (
    rb"(?P<level>" + LEVELS + rb") ?\[(?P<thread>\d{1,10})\](?:\[C-[0-9a-f]{1,16}\])?:? "
    rb"(?:(?:[a-z0-9_/]{1,96}/)?(?P<file>[A-Za-z0-9_]{1,48}\.c|Ext\. s)"
    rb"(?::\d{1,6}(?: in)? [A-Za-z0-9_@ .-]{1,80})?): {1,2}"
)
DATE = rb"(?P<date>[^\]\n]{1,64})\] "
BRACKETED = re.compile(rb"(?:\[|(?!)(?P<stamp>))" + DATE + ORIGIN)
SYSLOG = re.compile(
    rb"(?:<\d{1,3}>)?(?:(?P<stamp>[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"
    rb"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
    rb"|\d{9,11}\.\d{1,9})"
    rb" \S{1,255} [A-Za-z0-9_.-]{0,32}asterisk[A-Za-z0-9_.-]{0,32}(?:\[\d{1,10}\])?: {1,2})?"
    rb"(?:\[" + DATE + rb")?" + ORIGIN
)
BANNER = re.compile(rb"\[[^\]\n]{1,64}\] Asterisk \S{1,64} built by ")
"""What Asterisk writes whenever it opens a log file, `[json]` ones too (`make_logchannel`)."""

COLOUR = re.compile(rb"\x1b\[[0-9;]{0,16}m")


def match(line: bytes) -> re.Match[bytes] | None:
    """Return the match of a line's prefix; None = it has none, or a level that tells of no attempt."""
    return BRACKETED.match(line) if line.startswith(b"[") else SYSLOG.match(line)
