"""Keeps who else is never banned up to date while settings come and go: names, this host, the servers in use.

What nobody configured is not imported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from amiguard.errors import InvalidAddress
from amiguard.fleet.places import parse
from amiguard.journal import Action, Journal
from amiguard.model import Address, AllowOrigin, Target, parse_address
from amiguard.settings.hosts import is_name
from amiguard.subscriptions import urls_of

if TYPE_CHECKING:
    from amiguard.settings import Settings
    from amiguard.surroundings.names import Names

Tell = Callable[[AllowOrigin, str, Collection[Target]], None]
"""`Exemptions.set`."""

Key = tuple[AllowOrigin, str]

LOCALHOST = "localhost"
"""Whatever answers for it: it is this host."""

HOST = ("own address", "gateway", "resolver")
"""What `surroundings.host` tells of."""


class Watching:
    """Watches what is around this server, and tells who is therefore never banned. `names` are those that stand for
    somebody already, by what the store remembers."""

    def __init__(
        self, settings: Settings, tell: Tell, journal: Journal, names: Callable[[], Iterable[str]] = lambda: ()
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._journal = journal
        self._names = names
        self._told: set[Key] = set()
        self._changed = asyncio.Event()

    def reconfigure(self, settings: Settings) -> None:
        """Watch by other settings from now on; who is still wanted stays allowed meanwhile."""
        self._settings = settings
        self._changed.set()

    def look_again(self) -> None:
        """A store that opened late told of more names; those that nobody wants any more are dropped."""
        self._changed.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            self._changed.clear()
            names, servers = names_of(self._settings), servers_of(self._settings)
            self._told |= {(AllowOrigin.NAME, name) for name in self._names()}
            self._drop_all_but({key for keys in names.values() for key in keys} | servers.keys() | self._host())
            for (origin, comment), address in servers.items():
                self._note(origin, comment, [address])
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(watcher) for watcher in self._watchers(names)]
                await self._changed.wait()
                for task in tasks:
                    task.cancel()

    def _watchers(self, names: dict[str, list[Key]]) -> list[Coroutine[Any, Any, None]]:
        watchers = []
        if self._settings.ignoreself:
            from amiguard.surroundings.host import Host

            watchers.append(Host(partial(self._note, AllowOrigin.SELF), self._journal).run())
        if names:
            from amiguard.surroundings.dns import look_up
            from amiguard.surroundings.names import Names

            def changed(name: str, addresses: frozenset[Address]) -> None:
                for origin, comment in names[name]:
                    self._note(origin, comment, addresses)

            followed = Names(look_up, changed, self._journal)
            followed.follow(names)
            watchers.append(followed.run())
        return watchers

    def _host(self) -> set[Key]:
        return {(AllowOrigin.SELF, what) for what in HOST} if self._settings.ignoreself else set()

    def _note(self, origin: AllowOrigin, comment: str, targets: Collection[Target]) -> None:
        self._told.add((origin, comment))
        self._tell(origin, comment, targets)

    def _drop_all_but(self, wanted: set[Key]) -> None:
        for origin, comment in self._told - wanted:
            self._tell(origin, comment, ())
        self._told &= wanted


class Trunks:
    """Follows the hosts that this server registers with. `tell` gets the addresses of each host as they change."""

    def __init__(self, tell: Callable[[str, Collection[Address]], None], journal: Journal) -> None:
        self._tell = tell
        self._journal = journal
        self._hosts: frozenset[str] = frozenset()
        self._known: dict[str, frozenset[Address]] = {}
        self._names: Names | None = None
        self._named = asyncio.Event()

    def follow(self, hosts: frozenset[str]) -> None:
        """Follow these hosts, addresses or names, and no others."""
        for host in self._hosts - hosts:
            self._note(host, frozenset())
        self._hosts = hosts
        for host in hosts:
            if not is_name(host):
                with suppress(InvalidAddress):  # such as 1.2.3.400
                    self._note(host, frozenset([parse_address(host)]))
        if self._names is not None:
            self._names.follow(self._to_resolve())
        elif self._to_resolve():
            self._named.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._named.wait()
        from amiguard.surroundings.dns import SIP_SERVICES, look_up
        from amiguard.surroundings.names import Names

        self._names = Names(partial(look_up, services=SIP_SERVICES), self._note, self._journal)
        self._names.follow(self._to_resolve())
        await self._names.run()

    def _to_resolve(self) -> set[str]:
        return set(filter(is_name, self._hosts))

    def _note(self, host: str, addresses: frozenset[Address]) -> None:
        before = self._known.get(host, frozenset())
        if addresses == before:
            return
        self._known[host] = addresses
        self._tell(host, addresses)
        now = ", ".join(sorted(addresses)) or "nobody any more"
        self._journal.write(
            Action.ALLOWLIST_CHANGED,
            f"not banned for what only datagrams claim, as trunk {host}: {now}",
            origin=AllowOrigin.LEARNED,
            comment=f"trunk {host}",
            allowed=sorted(addresses - before),
            disallowed=sorted(before - addresses),
        )


def names_of(settings: Settings) -> dict[str, list[Key]]:
    """Return the names to follow, and for each as what its addresses are allowed."""
    names: dict[str, list[Key]] = {name: [(AllowOrigin.NAME, name)] for name in settings.ignored_names}
    for what, host in _servers(settings).items():
        if is_name(host):
            names.setdefault(host, []).append((AllowOrigin.SELF, f"{what} {host}"))
    return names


def servers_of(settings: Settings) -> dict[Key, Address]:
    """Return the servers in use that are named by their address."""
    found: dict[Key, Address] = {}
    for what, host in _servers(settings).items():
        try:
            found[AllowOrigin.SELF, f"{what} {host}"] = parse_address(host)
        except InvalidAddress:
            continue  # a name
    return found


def _servers(settings: Settings) -> dict[str, str]:
    """Return the hosts that amiguard itself talks to: a ban of one of them would cut it off."""
    if not settings.ignoreself:
        return {}
    servers = {f"server of the list {name}": urlsplit(url).hostname for name, url in urls_of(settings).items()}
    servers["webhook server"] = urlsplit(settings.webhook_url.get_secret_value()).hostname
    servers["CrowdSec server"] = urlsplit(settings.crowdsec_url).hostname
    if settings.ami_username:
        servers["AMI server"] = settings.ami_host
    if settings.mail_to:
        servers["mail server"] = settings.smtp_host
    if redis := settings.redis_url.get_secret_value():
        servers |= {f"Redis server {host}": host for host, _ in parse(redis).servers}
    return {what: host for what, host in servers.items() if host and host != LOCALHOST}
