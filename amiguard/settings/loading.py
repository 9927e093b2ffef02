"""Turns what the operator wrote into `Settings`, or into one clear line for each mistake."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr, TypeAdapter, ValidationError

from amiguard.errors import SettingsError
from amiguard.settings import PREFIX
from amiguard.settings.groups.rules import RulesGroup
from amiguard.settings.kinds import Allowed, SocketPath
from amiguard.settings.model import Settings
from amiguard.settings.places import Given, gather, given_outside_secrets

POLICY = (
    *("asterisk_timezone", "maxretry", "findtime", "bantime", "unproven_bantime", "ignoreip"),
    *("bantime_increment", "bantime_factor", "bantime_maxtime", "bantime_jitter", "recidive"),
    *("protect_registered", "protected_maxretry"),
    *RulesGroup.model_fields,
)
"""What decides who is banned for how long."""

_SHOWN = 64


def load(env_file: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings: environment first, then the dotenv file, then the secrets directory.

    `env_file` replaces `AMIGUARD_ENV_FILE`; `environ` None is this process's environment.

    Raises:
        SettingsError: with a line for each setting that is wrong or does not exist; none shows a secret's value.
    """
    given, problems = gather(env_file, os.environ if environ is None else environ)
    settings = None
    try:
        settings = Settings.model_validate({_field(name): value.text for name, value in given.items()})
    except ValidationError as error:
        problems += _problems(error, given)
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def control_socket(env_file: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Return `CONTROL_SOCKET` alone, for commands that only talk to the daemon: they need no login and no secrets.

    Raises:
        SettingsError: it is wrong, or the dotenv file can't be read.
    """
    name = f"{PREFIX}CONTROL_SOCKET"
    given = given_outside_secrets(name, env_file, os.environ if environ is None else environ)
    if given is None:
        default: Path = Settings.model_fields["control_socket"].default
        return default
    try:
        path: Path = TypeAdapter[Path](SocketPath).validate_python(given.text)
    except ValidationError as error:
        raise SettingsError([f"{name}{given.place}: {_mistake(entry)}" for entry in _entries(error)]) from None
    return path


def load_policy(
    options: Mapping[str, str],
    logs: Sequence[Path],
    env_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Return settings of which only those of `POLICY` are looked at, for commands that judge `logs` and nothing else.

    `options` are what the command line gives, by setting; they win over the environment, which wins over the dotenv
    file.

    Raises:
        SettingsError: one of these is wrong, or the dotenv file can't be read.
    """
    given: dict[str, Given] = {}
    for field in POLICY:
        name = f"{PREFIX}{field.upper()}"
        if field in options:
            given[name] = Given(options[field], f" (from --{field.replace('_', '-')})")
        elif found := given_outside_secrets(name, env_file, os.environ if environ is None else environ):
            given[name] = found
    values = {_field(name): value.text for name, value in given.items()}
    try:
        return Settings.model_validate({"asterisk_log": tuple(logs), **values})
    except ValidationError as error:
        raise SettingsError(_problems(error, given)) from None


def _field(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower()


def _entries(error: ValidationError) -> list[dict[str, Any]]:
    return [dict(entry) for entry in error.errors(include_url=False, include_input=False)]


def _problems(error: ValidationError, given: Mapping[str, Given]) -> list[str]:
    lines: dict[str, str] = {}
    for entry in _entries(error):
        if entry["type"] == "default_factory_not_called":
            continue
        field = str(entry["loc"][0])
        name = f"{PREFIX}{field.upper()}"
        value = given.get(name)
        what = _mistake(entry) or _not_allowed(field, value)
        lines.setdefault(name, f"{name}{value.place if value else ''}: {what}")
    return list(lines.values())


def _mistake(entry: Mapping[str, Any]) -> str:
    """Return what our own check said; "" where pydantic's did, whose words are a programmer's."""
    return str(entry["ctx"]["error"]) if entry["type"] == "value_error" else ""


def _not_allowed(field: str, value: Given | None) -> str:
    info = Settings.model_fields[field]
    allowed = next((item.words for item in info.metadata if isinstance(item, Allowed)), "another value")
    shown = "" if value is None or info.annotation is SecretStr else f"{value.text[:_SHOWN]!r} "
    return f"{shown}is not allowed; give {allowed}"
