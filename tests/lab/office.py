"""An office full of phones behind one address, and the lines that Asterisk's configuration needs for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.lab.asterisk import Asterisk
from tests.lab.sip import Phone

OK = 200
TRIES = 5


def accounts(names: Sequence[str]) -> str:
    """Return what pjsip.conf says of these accounts; their password is `pw` and their name."""
    return "".join(
        f"[{name}](phone)\nauth = {name}\naors = {name}\n"
        f"[{name}](password)\nusername = {name}\npassword = pw{name}\n"
        f"[{name}]\ntype = aor\nmax_contacts = 1\nremove_existing = yes\n"
        for name in names
    )


async def power_returns(asterisk: Asterisk, office: str, names: Sequence[str]) -> list[int]:
    """Let all phones register at once, each from a port of its own; return the final status of each.

    A phone that gets no answer in the rush tries again with another Call-ID, as phones do."""
    return await asyncio.gather(*(boot(asterisk, office, name) for name in names))


async def boot(asterisk: Asterisk, office: str, name: str) -> int:
    async with asterisk.connect(office) as connection:
        for _ in range(TRIES):
            try:
                return await Phone(connection, name, f"pw{name}").register()
            except TimeoutError:
                continue
    return 0
