"""Which Redis a URL names: one server, the master that sentinels know, or a cluster. Pure.

`redis://USER:PASSWORD@HOST:PORT`, `rediss://` with TLS, `unix:///PATH`; `redis+sentinel://HOST:PORT,HOST:PORT/MASTER`,
`redis+cluster://HOST:PORT,HOST:PORT`, both with `rediss` too."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, unquote, urlsplit

OPTIONS = frozenset({"db", "password", "ssl_ca_certs"})
"""What may follow the `?`: nothing there may switch the check of a certificate off."""

LAST_PORT = 65_535

_SERVER = re.compile(r"(\[(?P<address>[^\[\]]+)\]|(?P<host>[^:\[\]]+))(:(?P<port>[0-9]{0,5}))?")
_DEFAULT_PORT = {"": 6379, "sentinel": 26379, "cluster": 6379}


class Kind(StrEnum):
    """How Redis is found."""

    SERVER = ""
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Place:
    """Where Redis is, and how one logs in there."""

    kind: Kind
    servers: tuple[tuple[str, int], ...]
    """Hosts and ports: of Redis, of the sentinels, or of some nodes of the cluster; none with a `path`."""
    path: str = ""
    """Of a Unix socket."""
    tls: bool = False
    ca: str = ""
    master: str = ""
    """What the sentinels call it."""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """What it is called in the log, without a login."""
        if self.path:
            return self.path
        servers = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.servers)
        return f"{servers}/{self.master}" if self.master else servers


def parse(url: str) -> Place:
    """Return the place that a URL names.

    Raises:
        ValueError: it names none; the sentence shows nothing of it.
    """
    scheme, _, rest = url.partition("://")
    base, _, how = scheme.partition("+")
    if base not in {"redis", "rediss", "unix"} or how not in set(Kind) or (base == "unix" and how) or " " in url:
        raise ValueError(
            "is no URL of a Redis; give one that begins with rediss://, redis:// or unix://, or with "
            "rediss+sentinel:// or rediss+cluster://"
        )
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    parts = urlsplit(f"//servers{rest.removeprefix(authority)}")  # which takes one host only, if there are brackets
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if options.keys() - OPTIONS:
        raise ValueError("has other options than db, password and ssl_ca_certs")
    login, _, hosts = authority.rpartition("@")
    username, _, password = login.partition(":")
    kind = Kind(how)
    place = Place(
        kind,
        servers=() if base == "unix" else tuple(_server(one, kind) for one in hosts.split(",")),
        path=unquote(parts.path) if base == "unix" else "",
        tls=base == "rediss",
        ca=options.get("ssl_ca_certs", ""),
        master=unquote(parts.path.strip("/")) if kind is Kind.SENTINEL else "",
        db=_database(options.get("db") or ("" if how or base == "unix" else parts.path.strip("/"))),
        username=unquote(username),
        password=options.get("password") or unquote(password),
    )
    return _possible(place)


def _possible(place: Place) -> Place:
    if not place.servers and not place.path.strip("/"):
        raise ValueError("names no socket")
    if place.kind is Kind.SERVER and len(place.servers) > 1:
        raise ValueError("names several servers; redis+sentinel:// and redis+cluster:// do")
    if place.kind is Kind.SENTINEL and (not place.master or "/" in place.master):
        raise ValueError("names no master: redis+sentinel://HOST:26379/MASTER")
    if place.kind is Kind.CLUSTER and place.db:
        raise ValueError("names a database: a cluster has one only")
    return place


def _server(text: str, kind: Kind) -> tuple[str, int]:
    """Return a host and a port; an IPv6 address stands in brackets."""
    found = _SERVER.fullmatch(text)
    port = int(found["port"] or _DEFAULT_PORT[kind]) if found else 0
    if found is None or not 0 < port <= LAST_PORT:
        raise ValueError("names no host, or a port that is none")
    return found["address"] or found["host"], port


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError("names a database that is no number")
    return int(text or 0)
