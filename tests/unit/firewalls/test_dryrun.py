from __future__ import annotations

from amiguard.firewalls.dryrun import DryRun
from amiguard.journal import Action
from amiguard.model import Ban, Reason, Target
from amiguard.ports import Firewall


class Recorder:
    """A journal that keeps what is written."""

    def __init__(self) -> None:
        self.lines: list[tuple[Action, str, dict[str, object]]] = []

    def write(self, action: Action, message: str = "", /, **fields: object) -> None:
        self.lines.append((action, message, fields))


RUNNING = Ban(Target("192.0.2.1"), 0, 2_000, Reason.MANUAL)
OVER = Ban(Target("192.0.2.2"), 0, 1_000, Reason.MANUAL)
PERMANENT = Ban(Target("2001:db8::/64"), 0, None, Reason.MANUAL)


async def test_a_dry_run_says_of_each_running_ban_that_it_is_not_carried_out() -> None:
    journal = Recorder()
    firewall: Firewall = DryRun(journal)
    await firewall.ban([RUNNING, OVER, PERMANENT], now=1_000)
    assert [(action, fields) for action, _, fields in journal.lines] == [
        (Action.BAN_SKIPPED, {"ban": RUNNING}),
        (Action.BAN_SKIPPED, {"ban": PERMANENT}),
    ]


async def test_a_dry_run_that_starts_says_so_in_one_line_however_many_bans_there_are() -> None:
    journal = Recorder()
    firewall: Firewall = DryRun(journal)
    await firewall.start([Target("10.0.0.0/8")], [RUNNING, OVER] * 500, now=1_000)
    await firewall.unban([RUNNING.target])
    await firewall.close()
    ((action, message, _),) = journal.lines
    assert action is Action.BAN_SKIPPED
    assert message.startswith("dry run: nothing is ever dropped; 500 bans")
