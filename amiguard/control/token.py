"""What has to be shown at the TCP port."""

from __future__ import annotations

import secrets


class Token:
    """What is to be shown, which may change; "" lets everybody in who names a loopback host."""

    def __init__(self, value: str) -> None:
        self.value = value

    def invalidate(self) -> None:
        """Let nobody in any more."""
        self.value = secrets.token_hex()
