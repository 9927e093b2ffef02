"""Lists of attackers that others keep."""

from __future__ import annotations

import re

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from amiguard.feeds.names import feeds_of
from amiguard.settings.durations import UNITS
from amiguard.settings.hosts import is_http
from amiguard.settings.kinds import Duration, Entries, Secret, Text

LONGEST_OF_IPSET = 16 * UNITS["d"]
"""The kernel gets one and a half of `FEED_STALE` as a time-out, and ipset takes none beyond 24 days and 20 hours."""


class FeedsGroup(BaseModel):
    """Lists of attackers that others keep."""

    feeds: Secret = Field(
        SecretStr(""),
        description="lists of addresses and networks to drop, `NAME=URL`, space between them; "
        "`https://`, `http://` or `file:///PATH`; a URL may hold a token: it is kept secret",
    )
    apiban_key: Secret = Field(SecretStr(""), description="the key for APIBAN's list; empty = without it")
    apiban_url: Text = Field("https://apiban.org/api", description="where APIBAN's list is")
    feed_interval: Duration = Field(UNITS["h"], description="how often it is looked whether a list has changed")
    feed_stale: Duration = Field(
        2 * UNITS["d"],
        description="for how long a list counts that can't be had; at least twice `FEED_INTERVAL`; "
        "with ipset at most 16d",
    )
    feed_limit: Entries = Field(
        1_000_000, description="addresses and networks that a list may have; of a longer one nothing is taken"
    )

    @field_validator("feeds")
    @classmethod
    def _names_lists(cls, feeds: SecretStr) -> SecretStr:
        feeds_of(feeds.get_secret_value())
        return feeds

    @field_validator("apiban_key")
    @classmethod
    def _is_a_key(cls, key: SecretStr) -> SecretStr:
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,128}", key.get_secret_value()):
            raise ValueError("is no key: it has letters, digits, - and _")
        return key

    @field_validator("apiban_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        if not is_http(url) or "?" in url:
            raise ValueError("is no URL; give one that begins with https://")
        return url

    @field_validator("feed_stale")
    @classmethod
    def _outlasts_two_looks(cls, stale: int, info: ValidationInfo) -> int:
        if stale < 2 * info.data.get("feed_interval", 0):
            raise ValueError("is less than twice AMIGUARD_FEED_INTERVAL")
        if stale > LONGEST_OF_IPSET and info.data.get("firewall") == "ipset":
            raise ValueError("is more than 16d, for which ipset has no time-outs (AMIGUARD_FIREWALL=ipset)")
        return stale
