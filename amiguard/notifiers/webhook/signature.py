"""Proves who sent a request, and when: Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks.

A receiver computes HMAC-SHA256 over `id.timestamp.body` with the shared secret and compares; it refuses timestamps that
are minutes off, and an `id` that it has seen already is a repeated delivery. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac

from amiguard.model import Timestamp

PREFIX = "whsec_"


def headers(message_id: str, at: Timestamp, body: bytes, secret: str) -> dict[str, str]:
    """Return the headers that go with `body`; without a secret it is not signed."""
    second = str(at // 1000)
    found = {"webhook-id": message_id, "webhook-timestamp": second}
    if secret:
        content = f"{message_id}.{second}.".encode("ascii") + body
        digest = hmac.digest(key_of(secret), content, "sha256")
        found["webhook-signature"] = "v1," + base64.b64encode(digest).decode("ascii")
    return found


def key_of(secret: str) -> bytes:
    """Return the key of a secret: behind `whsec_` the standard has base64; any other is taken as it is."""
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            pass  # a secret of the operator's own that begins like that
    return secret.encode()
