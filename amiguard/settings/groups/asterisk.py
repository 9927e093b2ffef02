"""Where Asterisk is heard."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from amiguard.settings.kinds import FilePaths, Host, OptionalFile, OptionalHost, Port, Secret, Switch, Text, Timezone


class AsteriskGroup(BaseModel):
    """Where Asterisk is heard."""

    asterisk_log: FilePaths = Field(
        (), description="Asterisk's log files to follow beside AMI: `full`, `messages`, `security`, plain or `[json]`"
    )
    asterisk_timezone: Timezone = Field("local", description="the zone of log lines whose time has no offset")
    ami_host: Host = Field("127.0.0.1", description="where Asterisk's manager interface listens")
    ami_port: Port = Field(5038, description="its port")
    ami_username: Text = Field("", description="the manager user; empty = no AMI, only the log")
    ami_secret: Secret = Field(SecretStr(""), description="the manager user's secret")
    ami_tls: Switch = Field(default=False, description="speak TLS with Asterisk")
    ami_tls_ca: OptionalFile = Field(
        None, description="trust these certificates; empty = those of the operating system"
    )
    ami_tls_server_name: OptionalHost = Field(
        None, description="the name in Asterisk's certificate, where it is not `AMI_HOST`"
    )
    ami_tls_verify: Switch = Field(default=True, description="check Asterisk's certificate; `false` trusts anybody")

    @field_validator("ami_username")
    @classmethod
    def _there_is_a_source(cls, username: str, info: ValidationInfo) -> str:
        if not username and not info.data.get("asterisk_log"):
            raise ValueError(
                "is not set, nor is AMIGUARD_ASTERISK_LOG, so there is no source of events; "
                "name a manager user that has read=security"
            )
        return username

    @field_validator("ami_secret")
    @classmethod
    def _login_is_complete(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("ami_username") and not secret.get_secret_value():
            raise ValueError(f"is not set; give the secret of the manager user {info.data['ami_username']!r}")
        return secret

    @field_validator("ami_tls_ca", "ami_tls_server_name")
    @classmethod
    def _ami_speaks_tls(cls, value: Path | str | None, info: ValidationInfo) -> Path | str | None:
        if value is not None and info.data.get("ami_tls") is False:
            raise ValueError("has no effect without TLS; set AMIGUARD_AMI_TLS=true")
        return value
