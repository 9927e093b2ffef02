"""Lays a card out as Slack, Mattermost, Teams or ntfy take it, by a template each.

What a template makes is parsed and written anew, so that nothing but JSON ever leaves."""

from __future__ import annotations

import json
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from amiguard.notifiers.webhook.chat import Card
from amiguard.sparing import ARCHIVES, without

with without(*ARCHIVES):  # by way of tempfile and shutil
    from jinja2 import Environment, PackageLoader, StrictUndefined

Receiver = Literal["slack", "mattermost", "teams", "ntfy"]


class Layout:
    """The template of one receiver, compiled at construction."""

    def __init__(self, receiver: Receiver, url: str) -> None:
        self.url = url
        """Where to post."""
        self._topic = ""
        if receiver == "ntfy":
            self.url, self._topic = ntfy_place(url)
        loader = PackageLoader("amiguard.notifiers.webhook")
        plain = Environment(loader=loader, undefined=StrictUndefined)  # noqa: S701 -- JSON; every value goes through tojson
        self._template = plain.get_template(f"{receiver}.json")

    def body(self, card: Card) -> bytes:
        """Return the body of a request."""
        rendered = self._template.render(card=card, topic=self._topic)
        return json.dumps(json.loads(rendered), separators=(",", ":")).encode("ascii")


def ntfy_place(url: str) -> tuple[str, str]:
    """Return where ntfy takes JSON, and the topic: `https://ntfy.sh/alerts` -> `https://ntfy.sh/`, `alerts`."""
    parts = urlsplit(url)
    folder, _, topic = parts.path.rpartition("/")
    return urlunsplit(parts._replace(path=f"{folder}/")), topic
