"""Tells programs and chats over HTTP: a signed JSON POST."""

from amiguard.notifiers.webhook.notifier import Webhook
from amiguard.notifiers.webhook.request import probe

__all__ = ["Webhook", "probe"]
