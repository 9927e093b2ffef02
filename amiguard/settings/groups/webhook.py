"""Who is told over HTTP, and how."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from amiguard.ports import NoticeKind
from amiguard.settings.hosts import is_http
from amiguard.settings.kinds import OptionalFile, Secret, WebhookEvents, WebhookFormat


class WebhookGroup(BaseModel):
    """Who is told over HTTP, and how."""

    webhook_format: WebhookFormat = Field(
        "json", description="what is posted: every notice as JSON for a program, or messages for people in a chat"
    )
    webhook_url: Secret = Field(
        SecretStr(""), description="where notices are posted; it often holds a token: keep it secret; empty = nowhere"
    )
    webhook_secret: Secret = Field(SecretStr(""), description="signs what is posted; empty = not signed")
    webhook_tls_ca: OptionalFile = Field(
        None, description="trust these certificates; empty = those of the operating system"
    )
    webhook_events: WebhookEvents = Field(tuple(NoticeKind), description="what is posted")

    @field_validator("webhook_url")
    @classmethod
    def _is_a_place_to_post_to(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        text = url.get_secret_value()
        if not text:
            return url
        if not is_http(text):
            raise ValueError("is no URL; give one that begins with https:// or http://")
        if info.data.get("webhook_format") == "ntfy" and not urlsplit(text).path.rpartition("/")[2]:
            raise ValueError("ends without a topic; give one such as https://ntfy.sh/TOPIC")
        return url
