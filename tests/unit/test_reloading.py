"""Which settings can change while the daemon runs."""

from __future__ import annotations

from amiguard.reloading import LIVE
from amiguard.settings import Settings


def test_every_setting_can_be_reloaded_but_where_the_daemon_is_reached_and_what_it_remembers_in() -> None:
    assert Settings.model_fields.keys() - LIVE == {
        "control_socket",
        "control_group",
        "http_listen",
        "http_token",
        "database",
    }
