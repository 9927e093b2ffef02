"""What to change in manager.conf and logger.conf so that amiguard hears all, and nobody else more than he must.

Pure. No advice shows a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import NamedTuple

from amiguard.asterisk.conf import Conf, Setting, is_true

WRITE_TIMEOUT = 5_000
"""Milliseconds for which Asterisk should wait for a slow reader, before it hangs up on him (default: 100)."""

HARMLESS = frozenset({"security", "system", "reporting", "none"})
"""Classes that amiguard has a use for, or that give nothing away."""

LOOPBACK = re.compile(r"127\.|\[?::1\]?$|localhost$")
ZONE = re.compile(r"%z|%s")
"""What makes a time mean the same everywhere."""

DATEFORMAT = "dateformat = %F %T.%3q%z"


class Advice(NamedTuple):
    """One thing to change. `needed`: without it amiguard does not hear everything."""

    needed: bool
    text: str


def manager(conf: Conf, username: str, secret: str, *, local: bool) -> Iterator[Advice]:
    """Yield what is wrong in manager.conf for the user of this name; `local`: amiguard reaches it over loopback."""
    yield from _general(conf, local=local)
    heading = conf.section(username)
    if heading is None:
        yield Advice(True, f"{conf.file}: has no section [{username}]: add the one of deploy/asterisk/manager.conf")
        return
    read = conf.last(username, "read")
    classes = _words(read)
    if not classes & {"security", "all"}:
        yield Advice(True, f"{_place(read, heading)}: {username} gets no security events: read = security")
    elif surplus := classes - HARMLESS:
        yield Advice(False, f"{_place(read, heading)}: {username} reads {', '.join(sorted(surplus))}: read = security")
    write = conf.last(username, "write")
    if surplus := _words(write) - HARMLESS:
        yield Advice(False, f"{_place(write, heading)}: {username} may do {', '.join(sorted(surplus))}: write =")
    known = conf.last(username, "secret")
    if known is None or known.value != secret:
        yield Advice(True, f"{_place(known, heading)}: the secret is not that of AMIGUARD_AMI_SECRET")
    timeout = conf.last(username, "writetimeout")
    if timeout is None or not timeout.value.isdigit() or int(timeout.value) < WRITE_TIMEOUT:
        why = "a flood can make Asterisk hang up on amiguard"
        yield Advice(False, f"{_place(timeout, heading)}: {why}: writetimeout = {WRITE_TIMEOUT}")
    if not conf.all(username, "permit", "acl"):
        permit = "deny = 0.0.0.0/0.0.0.0, then permit = 127.0.0.1/255.255.255.255" if local else "deny and permit"
        yield Advice(False, f"{heading.place}: anybody who reaches the port may try the secret: {permit}")
    for one in conf.all(username, "eventfilter"):
        yield Advice(False, f"{one.place}: an eventfilter can hide security events from amiguard: remove it")


def _general(conf: Conf, *, local: bool) -> Iterator[Advice]:
    enabled, web, bind = (conf.last("general", name) for name in ("enabled", "webenabled", "bindaddr"))
    if enabled is None or not is_true(enabled.value):
        yield Advice(True, f"{enabled.place if enabled else conf.file}: the manager is off: enabled = yes in [general]")
    if web is not None and is_true(web.value):
        yield Advice(False, f"{web.place}: over HTTP a user's name may hold line breaks: webenabled = no")
    if local and (bind is None or not LOOPBACK.match(bind.value)):
        place = bind.place if bind else conf.file
        yield Advice(False, f"{place}: the manager can be reached from outside: bindaddr = 127.0.0.1 in [general]")


def logger(conf: Conf, logs: Iterable[PurePath]) -> Iterator[Advice]:
    """Yield what is wrong in logger.conf for amiguard to follow these files."""
    dateformat = conf.first("general", "dateformat")
    if dateformat is None or not ZONE.search(dateformat.value):
        why = "a line's time has no zone, and in autumn means two"
        yield Advice(False, f"{dateformat.place if dateformat else conf.file}: {why}: {DATEFORMAT} in [general]")
    channels = conf.all("logfiles")
    proves = False
    for log in logs:
        found = next((one for one in channels if PurePath(one.name).name == log.name.lower()), None)
        if found is None:
            yield Advice(True, f"{conf.file}: writes no {log.name}: {log.name} => notice,warning,error,security")
            continue
        proves = proves or found.value.lower().startswith("[json]")
        levels = _words(found) | {word.partition("]")[2] for word in _words(found)}
        if missing := [level for level in ("notice", "security") if not levels & {level, "*"}]:
            yield Advice("notice" in missing, f"{found.place}: {log.name} lacks {' and '.join(missing)}")
    if not proves:
        line = "amiguard.json => [json]notice,warning,error,security"
        yield Advice(False, f"{conf.file}: no followed log is [json], and plain lines can be forged: {line}")


def _words(setting: Setting | None) -> frozenset[str]:
    return frozenset(setting.value.lower().replace(",", " ").split()) if setting else frozenset()


def _place(setting: Setting | None, heading: Setting) -> str:
    return (setting or heading).place
