"""What amiguard writes into its own log: the catalogue, and the port through which every part writes.

`docs/events.md` describes each action for those who script against it; a test keeps the two equal."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Action(StrEnum):
    """`event.action` of a log line."""

    START = "start"
    READY = "ready"
    STOP = "stop"
    SETTINGS_RELOADED = "settings-reloaded"
    SETTINGS_REFUSED = "settings-refused"
    AMI_CONNECTED = "ami-connected"
    AMI_LOST = "ami-lost"
    AMI_UNREADABLE = "ami-unreadable"
    LOG_OPENED = "log-opened"
    LOG_LOST = "log-lost"
    LOG_ALARM = "log-alarm"
    FAILURE = "failure"
    INJECTION = "injection"
    BAN = "ban"
    BANS_ADOPTED = "bans-adopted"
    BAN_ESCALATED = "ban-escalated"
    UNBAN = "unban"
    EXPIRE = "expire"
    ALLOWLIST_CHANGED = "allowlist-changed"
    NAME_FAILED = "name-failed"
    NAME_RECOVERED = "name-recovered"
    SELF_UNKNOWN = "self-unknown"
    PRESENCE_LIMITED = "presence-limited"
    PHONE_FAILING = "phone-failing"
    BAN_SKIPPED = "ban-skipped"
    ACCOUNT_UNDER_ATTACK = "account-under-attack"
    SUSPECTED_COMPROMISE = "suspected-compromise"
    FIREWALL_HEALED = "firewall-healed"
    FIREWALL_FAILED = "firewall-failed"
    GEOIP_FAILED = "geoip-failed"
    STORE_FAILED = "store-failed"
    STORE_RECOVERED = "store-recovered"
    MAIL_SENT = "mail-sent"
    MAIL_FAILED = "mail-failed"
    WEBHOOK_FAILED = "webhook-failed"
    WEBHOOK_RECOVERED = "webhook-recovered"
    FLEET_CONNECTED = "fleet-connected"
    FLEET_LOST = "fleet-lost"
    FLEET_REFUSED = "fleet-refused"
    FEED_UPDATED = "feed-updated"
    FEED_FAILED = "feed-failed"
    CROWDSEC_FAILED = "crowdsec-failed"
    CROWDSEC_RECOVERED = "crowdsec-recovered"
    CONTROL = "control"
    CONTROL_OPENED = "control-opened"
    OVERLOAD = "overload"
    INTERNAL_ERROR = "internal-error"


class Journal(Protocol):
    """Writes one line of amiguard's own log. Never raises, never blocks for long."""

    def write(self, action: Action, message: str = "", /, **fields: object) -> None:
        """Write `action` with a sentence for humans and fields for machines.

        The domain's values go in as they are (`ban=`, `failure=`); the renderer knows their field names. `error=` takes
        an exception: its type and message are shown, its traceback only at level debug."""
