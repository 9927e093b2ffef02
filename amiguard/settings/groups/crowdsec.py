"""CrowdSec's local API."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from amiguard.settings.durations import SECOND
from amiguard.settings.hosts import is_http
from amiguard.settings.kinds import Duration, OptionalFile, Secret, Text


class CrowdsecGroup(BaseModel):
    """CrowdSec's local API."""

    crowdsec_url: Text = Field(
        "", description="CrowdSec's local API, such as `http://127.0.0.1:8080`; empty = without CrowdSec"
    )
    crowdsec_tls_ca: OptionalFile = Field(
        None, description="trust these certificates; empty = those of the operating system"
    )
    crowdsec_api_key: Secret = Field(
        SecretStr(""), description="a bouncer's key: whom CrowdSec bans is dropped here; empty = not"
    )
    crowdsec_interval: Duration = Field(10 * SECOND, description="how often its decisions are asked for")
    crowdsec_machine: Text = Field(
        "", description="a machine's name: CrowdSec is told whom this server bans; empty = not"
    )
    crowdsec_password: Secret = Field(SecretStr(""), description="that machine's password")

    @field_validator("crowdsec_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        if url and (not is_http(url) or "?" in url):
            raise ValueError("is no URL; give one such as http://127.0.0.1:8080")
        return url

    @field_validator("crowdsec_api_key")
    @classmethod
    def _can_be_used(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        text = key.get_secret_value()
        if text and not info.data.get("crowdsec_url"):
            raise ValueError("needs AMIGUARD_CROWDSEC_URL")
        if not text.isascii() or " " in text:
            raise ValueError("is no key that cscli gives")
        return key

    @field_validator("crowdsec_machine")
    @classmethod
    def _has_a_server(cls, machine: str, info: ValidationInfo) -> str:
        if machine and not info.data.get("crowdsec_url"):
            raise ValueError("needs AMIGUARD_CROWDSEC_URL")
        return machine

    @field_validator("crowdsec_password")
    @classmethod
    def _belongs_to_a_machine(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        if bool(password.get_secret_value()) != bool(info.data.get("crowdsec_machine")):
            raise ValueError("is wanted with AMIGUARD_CROWDSEC_MACHINE, and only with it")
        return password
