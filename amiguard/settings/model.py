"""Every setting in one flat model. `docs/configuration.md` shows the same table; a test keeps them equal.

A field's order matters: what a check compares it with stands above it."""

from __future__ import annotations

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

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

PREFIX = "AMIGUARD_"


class Settings(  # pydantic takes the fields of the last base first
    JournalGroup,
    ControlGroup,
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

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

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
