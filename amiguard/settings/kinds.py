"""What kinds of values settings have: how the operator's text is read, and what he may write.

A reader takes text, or a value that is typed already, and raises ValueError with a sentence that shows no secret."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, NoReturn
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from amiguard.errors import InvalidAddress
from amiguard.fleet.messages import NAME
from amiguard.model import PortRange, parse_target
from amiguard.ports import NoticeKind
from amiguard.settings.durations import FORM, LONGEST, SECOND, parse_bantime, parse_duration
from amiguard.settings.hosts import Endpoint, is_name

SOCKET_PATH_BYTES = 107
"""`sun_path` of unix(7), without its closing zero."""

LAST_PORT = 65_535
IPV6 = 6

_NOT_PLAIN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line separators, and bytes that are no UTF-8 (PEP 383)."""
_PORTS = re.compile(r"(tcp|udp):([0-9]{1,5})(?:-([0-9]{1,5}))?")
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")

_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an operator may write, in words that follow "give"."""

    words: str


def is_mailbox(text: str) -> bool:
    """Tell whether `text` is a plain mail address: ASCII, no display name, nothing that could end a header."""
    return _MAILBOX.fullmatch(text) is not None


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _plain(text: str) -> str:
    if _NOT_PLAIN.search(text):
        raise ValueError("must be UTF-8 without line breaks and other control characters")
    return text


def _secret(value: SecretStr) -> SecretStr:
    _plain(value.get_secret_value())
    return value


def _host(text: str) -> str:
    try:
        text.encode("idna")
    except UnicodeError:
        return _refuse(text, HOST)
    return text if re.fullmatch(r"[^\s/@\[\]]+", _plain(text)) else _refuse(text, HOST)


def _table(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", text) else _refuse(text, TABLE)


def is_node(text: str) -> bool:
    """Tell whether a node of a fleet may be called so."""
    return NAME.fullmatch(text) is not None


def _node(text: str) -> str:
    return text if is_node(text) else _refuse(text, NODE)


def _refuse(text: str, allowed: str) -> NoReturn:
    raise ValueError(f"{text[:64]!r} is not allowed; give {allowed}")


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _bantime(value: object) -> object:
    return parse_bantime(value) if isinstance(value, str) else value


def _ignored(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(dict.fromkeys(_ignored_one(word) for word in _words(value)))


def _ignored_one(word: str) -> str:
    if is_name(word) and _NAME.fullmatch(word):
        return word.lower().rstrip(".")
    try:
        return parse_target(word)
    except InvalidAddress:
        raise ValueError(f"{word[:64]!r} is neither an address, a network nor a name; give {IGNORED}") from None


def _mailboxes(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(dict.fromkeys(_mailbox(word) for word in _words(_plain(value))))


def _mailbox(text: str) -> str:
    return text if is_mailbox(text) else _refuse(text, MAILBOX)


def _events(value: object) -> object:
    return tuple(dict.fromkeys(_words(value))) if isinstance(value, str) else value


def _paths(value: object) -> object:
    return tuple(dict.fromkeys(map(Path, _words(_plain(value))))) if isinstance(value, str) else value


def _port_ranges(value: object) -> object:
    if not isinstance(value, str):
        return value
    words = _words(value)
    return () if words == [ALL] else tuple(dict.fromkeys(map(_port_range, words)))


def _port_range(word: str) -> PortRange:
    match = _PORTS.fullmatch(word)
    if match is None:
        return _refuse(word, PORTS)
    first, last = int(match[2]), int(match[3] or match[2])
    if not 1 <= first <= last <= LAST_PORT:
        _refuse(word, PORTS)
    return PortRange(match[1], first, last)


def _timezone(name: str) -> str:
    if name != LOCAL:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # unknown, no name at all, or a directory such as `Europe`
            _refuse(name, TIMEZONE)
    return name


def _path(value: object) -> object:
    return Path(_plain(value)) if isinstance(value, str) else value


def _socket(path: Path) -> Path:
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
        raise ValueError(f"is longer than {SOCKET_PATH_BYTES} bytes, which is all that a Unix socket's path may have")
    return path


def _endpoint(value: object) -> object:
    if not isinstance(value, str):
        return value
    host, _, port = value.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return _refuse(value, ENDPOINT)
    if (ip.version == IPV6) is not value.startswith("[") or not re.fullmatch(r"[0-9]{1,5}", port):
        return _refuse(value, ENDPOINT)
    return Endpoint(str(ip), int(port)) if 1 <= int(port) <= LAST_PORT else _refuse(value, ENDPOINT)


def _readable(path: Path) -> Path:
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ValueError(f"{str(path)!r} is no file that amiguard can read")
    return path


def _with_maxminddb(path: Path) -> Path:
    if find_spec("maxminddb") is None:
        raise ValueError("needs the package maxminddb: pip install 'amiguard[geo]'")
    return path


HOST = "a host name or an IP address"
IGNORED = "addresses, networks or DNS names such as 192.0.2.1, 2001:db8::/32 or office.example.org"
ENDPOINT = "an address and a port such as 127.0.0.1:9180 or [::1]:9180"
ALL = "all"
PORTS = "all, or protocols and ports such as udp:5060 or tcp:5060-5061; space or comma between them"
NODE = "letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first"
TABLE = "a letter, then at most 63 letters, digits, - or _"
MAILBOX = "a plain mail address such as ops@example.org"

LOCAL = "local"
TIMEZONE = "local, or a name such as Europe/Berlin or UTC"

Text = Annotated[str, AfterValidator(_plain), Allowed("text")]
Host = Annotated[str, AfterValidator(_host), Allowed(HOST)]
Port = Annotated[int, Field(ge=1, le=LAST_PORT), Allowed("a port number from 1 to 65535")]
Switch = Annotated[bool, Allowed("true or false")]
Secret = Annotated[SecretStr, AfterValidator(_secret), Allowed("a secret")]
Count = Annotated[int, Field(ge=1, le=1_000), Allowed("a whole number from 1 to 1000")]
Threshold = Annotated[int, Field(ge=0, le=1_000), Allowed("a whole number from 1 to 1000; 0 = off")]
Few = Annotated[int, Field(ge=0, le=100), Allowed("a whole number from 1 to 100; 0 = off")]
Entries = Annotated[int, Field(ge=1_000, le=1_000_000), Allowed("a whole number from 1000 to 1000000")]
Recidive = Annotated[int, Field(ge=0, le=20), Allowed("a whole number from 1 to 20; 0 = off")]
Factor = Annotated[float, Field(ge=1, le=100), Allowed("a number from 1 to 100")]
Prefix4 = Annotated[int, Field(ge=8, le=32), Allowed("a whole number from 8 to 32")]
Prefix6 = Annotated[int, Field(ge=16, le=128), Allowed("a whole number from 16 to 128")]
Duration = Annotated[int, Field(ge=SECOND, le=LONGEST), BeforeValidator(_duration), Allowed(FORM)]
OptionalDuration = Annotated[
    Annotated[int, Field(ge=SECOND, le=LONGEST)] | None, BeforeValidator(_duration), Allowed(FORM)
]
Bantime = Annotated[
    Annotated[int, Field(ge=SECOND, le=LONGEST)] | None, BeforeValidator(_bantime), Allowed(f"{FORM}; -1 is permanent")
]
Ignored = Annotated[tuple[str, ...], BeforeValidator(_ignored), Allowed(f"{IGNORED}; space or comma between them")]
Mailbox = Annotated[str, AfterValidator(_mailbox), Allowed(MAILBOX)]
Mailboxes = Annotated[
    tuple[str, ...], BeforeValidator(_mailboxes), Allowed(f"{MAILBOX}, or more; space or comma between them")
]
MailEvents = Annotated[
    tuple[Literal[NoticeKind.START, NoticeKind.STOP, NoticeKind.BAN, NoticeKind.ALERT], ...],
    BeforeValidator(_events),
    Allowed("words of start, stop, ban and alert; space or comma between them"),
]
WebhookEvents = Annotated[
    tuple[NoticeKind, ...],
    BeforeValidator(_events),
    Allowed("words of start, stop, ban, unban and alert; space or comma between them"),
]
FilePaths = Annotated[
    tuple[Path, ...], BeforeValidator(_paths), Allowed("paths without blanks; space or comma between them")
]
Timezone = Annotated[str, AfterValidator(_timezone), Allowed(TIMEZONE)]
FilePath = Annotated[Path, BeforeValidator(_path), Allowed("a path")]
OptionalHost = Annotated[Host | None, Allowed(HOST)]
OptionalFile = Annotated[
    Annotated[FilePath, AfterValidator(_readable)] | None, Allowed("a readable file of PEM certificates")
]
OptionalEndpoint = Annotated[Endpoint | None, BeforeValidator(_endpoint), Allowed(ENDPOINT)]
GeoDatabase = Annotated[
    Annotated[FilePath, AfterValidator(_readable), AfterValidator(_with_maxminddb)] | None,
    Allowed("a readable file in MaxMind's format"),
]
SocketPath = Annotated[
    Path, BeforeValidator(_path), AfterValidator(_socket), Allowed(f"a path of at most {SOCKET_PATH_BYTES} bytes")
]
Verdict = Annotated[Literal["drop", "reject"], Allowed("drop or reject")]
PortRanges = Annotated[tuple[PortRange, ...], BeforeValidator(_port_ranges), Allowed(PORTS)]
FirewallKind = Annotated[Literal["nftables", "ipset", "dry-run"], Allowed("nftables, ipset or dry-run")]
TableName = Annotated[str, AfterValidator(_table), Allowed(TABLE)]
NodeName = Annotated[str, AfterValidator(_node), Allowed(NODE)]
SmtpTls = Annotated[Literal["none", "starttls", "tls"], Allowed("none, starttls or tls")]
WebhookFormat = Annotated[
    Literal["json", "slack", "mattermost", "teams", "ntfy"], Allowed("json, slack, mattermost, teams or ntfy")
]
FleetAllow = Annotated[Literal["share", "hear", "off"], Allowed("share, hear or off")]
LogFormat = Annotated[Literal["ecs", "ocsf", "console"], Allowed("ecs, ocsf or console")]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], Allowed("debug, info, warning or error")]
