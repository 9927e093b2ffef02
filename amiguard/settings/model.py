"""Every setting in one flat model. `docs/configuration.md` shows the same table; a test keeps them equal.

A field's order matters: what a check compares it with stands above it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from amiguard.override import override
from amiguard.settings import PREFIX, groups
from amiguard.settings.groups.asterisk import AsteriskGroup
from amiguard.settings.groups.control import ControlGroup
from amiguard.settings.groups.crowdsec import CrowdsecGroup
from amiguard.settings.groups.feeds import FeedsGroup
from amiguard.settings.groups.firewall import FirewallGroup
from amiguard.settings.groups.fleet import FleetGroup
from amiguard.settings.groups.jail import JailGroup
from amiguard.settings.groups.journal import JournalGroup
from amiguard.settings.groups.mail import MailGroup
from amiguard.settings.groups.rules import RulesGroup
from amiguard.settings.groups.store import StoreGroup
from amiguard.settings.groups.webhook import WebhookGroup
from amiguard.settings.values import Secret


class Settings(  # pydantic takes the fields of the last base first
    JournalGroup,
    ControlGroup,
    CrowdsecGroup,
    FeedsGroup,
    FleetGroup,
    WebhookGroup,
    MailGroup,
    StoreGroup,
    FirewallGroup,
    RulesGroup,
    JailGroup,
    AsteriskGroup,
    BaseSettings,
):
    """What the operator decided. Durations are milliseconds; None is a permanent ban.

    Made by `load`; made directly it takes typed values and reads neither environment nor files."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The settings of each file in `groups/`, by its name."""
        return {
            group.__module__.rpartition(".")[2]: tuple(group.model_fields)
            for group in reversed(Settings.__mro__)
            if issubclass(group, BaseModel) and group.__module__.startswith(groups.__name__)
        }

    def plain(self) -> dict[str, Any]:
        """Return every attribute as a value that needs no pydantic: see `values`."""
        derived = ("groups", "ignored_targets", "ignored_names")
        given = {name: getattr(self, name) for name in (*type(self).model_fields, *derived)}
        return {
            name: Secret(value.get_secret_value()) if isinstance(value, SecretStr) else value
            for name, value in given.items()
        }

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what is handed in: `places` reads environment and files, and says there why not pydantic."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)
