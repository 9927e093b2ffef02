"""The settings as plain values, without the libraries that checked them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from amiguard.override import override

if TYPE_CHECKING:
    from amiguard.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Secret:
    """What is shown nowhere: pydantic's `SecretStr`, as far as it is used."""

    _value: str = field(repr=False)

    def get_secret_value(self) -> str:
        """Return it."""
        return self._value


class Values:
    """Has every attribute of the `Settings` that it was made from. None can be changed, and none is shown."""

    def __init__(self, given: Mapping[str, object]) -> None:
        self.__dict__.update(given)

    @override
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"the setting {name} is frozen")

    @override
    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"the setting {name} is frozen")


def settings_of(given: Mapping[str, object]) -> Settings:
    """Return what `Settings.plain` told, as what the daemon is wired by."""
    return cast("Settings", Values(given))
