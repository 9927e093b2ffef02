from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.lab.stage import Stage, stage


@pytest.fixture
async def place() -> AsyncIterator[Stage]:
    """A place for a daemon that bans for an hour. Whatever it goes through, it never writes on standard error."""
    async with stage(BANTIME="1h") as place:
        yield place
        assert "".join(life.errors for life in place.site.lives) == ""
