"""Takes new settings into the running daemon: all of them or none, and without losing a count, a ban or an event.

What can fail comes first, and is undone where a later step fails: the settings are validated, a new AMI login is
proven, a new port opened, the database copied, the kernel asked. What follows can't fail. Parts whose settings did not
change are not touched."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from amiguard.control.server import ControlServer
from amiguard.errors import ControlError, FirewallError, SettingsError, SourceError, StoreError
from amiguard.guard import Guard
from amiguard.journal import Action
from amiguard.logs import StructuredJournal
from amiguard.notifying import country_of
from amiguard.parts import Parts
from amiguard.settings import PREFIX
from amiguard.settings.apart import load_apart
from amiguard.settings.policy import policy_of
from amiguard.subscriptions import feed_names
from amiguard.wiring import control_settings, firewall_of, prove_ami, store_of

if TYPE_CHECKING:
    from amiguard.settings import Settings

LOG = frozenset({"asterisk_log", "asterisk_timezone"})
WATCHED = frozenset({"ignoreip", "ignoreself", "redis_url"})
"""What beside AMI and notifiers tells who is never banned."""
FIXED = frozenset({"control_socket"})
"""What needs a restart: `docs/operations.md` says so."""
GROUPS = frozenset(
    {
        *("asterisk", "jail", "rules", "firewall", "store", "mail", "webhook", "control", "fleet"),
        *("feeds", "crowdsec", "journal"),
    }
)
"""The groups of settings that can change while the daemon runs, but for `FIXED`."""


class Changes:
    """Which settings changed, in their order: `fields`, and the `groups` that they belong to."""

    def __init__(self, old: Settings, new: Settings) -> None:
        every = [(group, field) for group, fields in new.groups.items() for field in fields]
        changed = [(group, field) for group, field in every if getattr(old, field) != getattr(new, field)]
        self.fields = [field for _, field in changed]
        self.groups = {group for group, _ in changed}
        self.fixed = sorted(field for group, field in changed if field in FIXED or group not in GROUPS)
        self.log = any(field in LOG for field in self.fields)
        self.ami = any(group == "asterisk" and field not in LOG for group, field in changed)
        self.notifiers = bool(self.groups & {"mail", "webhook", "crowdsec"})
        self.feeds = bool(self.groups & {"feeds", "crowdsec"})
        self.watched = self.ami or self.notifiers or self.feeds or not WATCHED.isdisjoint(self.fields)


class Reloading:
    """Knows the `settings` in force, and changes them. `env_file` is what `--env-file` named."""

    def __init__(
        self,
        settings: Settings,
        env_file: Path | None,
        *,
        guard: Guard,
        parts: Parts,
        control: ControlServer,
        journal: StructuredJournal,
    ) -> None:
        self.settings = settings
        self._env_file = env_file
        self._guard = guard
        self._parts = parts
        self._control = control
        self._journal = journal
        self._one_at_a_time = asyncio.Lock()

    async def reload(self) -> list[str]:
        """Read environment, dotenv file and secrets anew, and go by them; return the variables that changed.

        Raises:
            SettingsError: something of it is wrong or does not work: everything stays as it was, and the log says why.
        """
        async with self._one_at_a_time:
            try:
                return await self._take(await asyncio.to_thread(load_apart, self._env_file))
            except SettingsError as error:
                message = f"the earlier settings stay: {error}"
                self._journal.write(Action.SETTINGS_REFUSED, message, problems=error.problems)
                raise

    async def _take(self, new: Settings) -> list[str]:
        old, changed = self.settings, Changes(self.settings, new)
        if changed.fixed:
            raise SettingsError([f"{variable(field)} can't change without a restart" for field in changed.fixed])
        fleet = self._parts.fleet_of(new) if "fleet" in changed.groups else None
        await self._take_what_can_fail(new, changed)
        self.settings = new
        self._guard.reconfigure(policy_of(new), new.ignored_targets, log_followed=bool(new.asterisk_log))
        if changed.watched:
            self._parts.rewatch(new)
        if "geoip_database" in changed.fields:
            self._guard.administration.country = country_of(new, self._journal)
        if changed.notifiers:
            await self._parts.replace_notifiers(old, new, self._guard.administration.country)
        if changed.log:
            await self._parts.replace_log(new, zone_changed="asterisk_timezone" in changed.fields)
        if changed.ami or "protect_registered" in changed.fields:
            await self._parts.replace_ami(new)
        if "fleet" in changed.groups:
            await self._guard.join(fleet)
        if changed.feeds:
            await self._parts.replace_feeds(new)
        names = [variable(field) for field in changed.fields]
        what = f"new settings are in force: {', '.join(names)}" if names else "no setting has changed"
        self._journal.write(Action.SETTINGS_RELOADED, what, changed=names)
        if "journal" in changed.groups:  # last, or a higher level would hide that line
            self._journal.reconfigure(new.log_format, new.log_level)
        return names

    async def _take_what_can_fail(self, new: Settings, changed: Changes) -> None:
        """Take what something else has to agree to: all of it, or nothing."""
        if changed.ami and new.ami_username:
            await self._prove_ami(new)
        try:
            async with AsyncExitStack() as steps:
                if "control" in changed.groups:
                    await steps.enter_async_context(self._control.changing(control_settings(new)))
                if "store" in changed.groups:
                    store = store_of(new, self._journal)
                    await steps.enter_async_context(self._guard.moving(store, self.settings.database))
                if "firewall" in changed.groups or feed_names(new) != feed_names(self.settings):
                    await self._guard.relocate(firewall_of(new))
        except ControlError as error:
            raise SettingsError([f"the control interface can't change: {error}"]) from error
        except StoreError as error:
            raise SettingsError([f"the database can't move: {error}"]) from error
        except FirewallError as error:
            raise SettingsError([f"the kernel refuses the new settings: {error}"]) from error

    async def _prove_ami(self, new: Settings) -> None:
        """Try the new login while the old connection stands; where none stands, nothing can be lost by the new one."""
        if not self._parts.hears_ami:
            return
        try:
            await prove_ami(new)
        except (SourceError, SettingsError) as error:
            raise SettingsError([f"the new AMI settings don't work: {error}"]) from error


def variable(field: str) -> str:
    """Return what an operator calls a setting."""
    return f"{PREFIX}{field.upper()}"
