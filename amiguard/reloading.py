"""Takes new settings into the running daemon: all of them or none, and without losing a count, a ban or an event.

What can fail comes first, and is undone where a later step fails: the settings are validated, a new AMI login is
proven, a new port opened, the database copied, the kernel asked. What follows can't fail. Parts whose settings did not
change are not touched."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from amiguard.control.server import ControlServer
from amiguard.errors import ControlError, FirewallError, SettingsError, SourceError, StoreError
from amiguard.guard import Guard
from amiguard.journal import Action
from amiguard.logs import StructuredJournal
from amiguard.notifying import country_of
from amiguard.parts import Parts
from amiguard.settings import Settings, load
from amiguard.settings.groups.asterisk import AsteriskGroup
from amiguard.settings.groups.control import ControlGroup
from amiguard.settings.groups.firewall import FirewallGroup
from amiguard.settings.groups.fleet import FleetGroup
from amiguard.settings.groups.jail import JailGroup
from amiguard.settings.groups.journal import JournalGroup
from amiguard.settings.groups.mail import MailGroup
from amiguard.settings.groups.rules import RulesGroup
from amiguard.settings.groups.store import StoreGroup
from amiguard.settings.groups.webhook import WebhookGroup
from amiguard.settings.model import PREFIX
from amiguard.settings.policy import policy_of
from amiguard.wiring import control_settings, firewall_of, prove_ami, store_of

LOG = frozenset({"asterisk_log", "asterisk_timezone"})
AMI = frozenset(AsteriskGroup.model_fields) - LOG
JAIL = frozenset(JailGroup.model_fields) | frozenset(RulesGroup.model_fields)
FIREWALL = frozenset(FirewallGroup.model_fields)
NOTIFIERS = frozenset(MailGroup.model_fields) | frozenset(WebhookGroup.model_fields)
CONTROL = frozenset(ControlGroup.model_fields) - {"control_socket"}
FLEET = frozenset(FleetGroup.model_fields)
STORE = frozenset(StoreGroup.model_fields)
JOURNAL = frozenset(JournalGroup.model_fields)
WATCHED = frozenset({"ignoreip", "ignoreself", "redis_url"}) | AMI | NOTIFIERS
LIVE = JAIL | FIREWALL | LOG | AMI | NOTIFIERS | CONTROL | FLEET | STORE | JOURNAL
"""What can change while the daemon runs. The rest needs a restart: `docs/operations.md` names it."""


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
                return await self._take(load(self._env_file))
            except SettingsError as error:
                message = f"the earlier settings stay: {error}"
                self._journal.write(Action.SETTINGS_REFUSED, message, problems=error.problems)
                raise

    async def _take(self, new: Settings) -> list[str]:
        old = self.settings
        changed = {field for field in Settings.model_fields if getattr(old, field) != getattr(new, field)}
        if fixed := sorted(changed - LIVE):
            raise SettingsError([f"{variable(field)} can't change without a restart" for field in fixed])
        fleet = self._parts.fleet_of(new) if changed & FLEET else None
        await self._take_what_can_fail(new, changed)
        self.settings = new
        self._guard.reconfigure(policy_of(new), new.ignored_targets, log_followed=bool(new.asterisk_log))
        if changed & WATCHED:
            self._parts.rewatch(new)
        if changed & NOTIFIERS:
            await self._parts.replace_notifiers(old, new)
        if "geoip_database" in changed:
            self._guard.administration.country = country_of(new)
        if changed & LOG:
            await self._parts.replace_log(new, zone_changed="asterisk_timezone" in changed)
        if changed & (AMI | {"protect_registered"}):
            await self._parts.replace_ami(new)
        if changed & FLEET:
            await self._guard.join(fleet)
        names = [variable(field) for field in Settings.model_fields if field in changed]
        what = f"new settings are in force: {', '.join(names)}" if names else "no setting has changed"
        self._journal.write(Action.SETTINGS_RELOADED, what, changed=names)
        if changed & JOURNAL:  # last, or a higher level would hide that line
            self._journal.reconfigure(new.log_format, new.log_level)
        return names

    async def _take_what_can_fail(self, new: Settings, changed: set[str]) -> None:
        """Take what something else has to agree to: all of it, or nothing."""
        if changed & AMI and new.ami_username:
            await self._prove_ami(new)
        try:
            async with AsyncExitStack() as steps:
                if changed & CONTROL:
                    await steps.enter_async_context(self._control.changing(control_settings(new)))
                if changed & STORE:
                    store = store_of(new, self._journal)
                    await steps.enter_async_context(self._guard.moving(store, self.settings.database))
                if changed & FIREWALL:
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
