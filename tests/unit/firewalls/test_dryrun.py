"""The dry run takes everything and says that it enforces nothing."""

from amiguard.firewalls.dryrun import DryRun
from amiguard.model import Ban, Reason, Target
from amiguard.ports import Firewall

BAN = Ban(Target("192.0.2.1"), 0, None, Reason.MANUAL)


async def test_every_call_succeeds_and_nothing_is_claimed() -> None:
    firewall: Firewall = DryRun()

    await firewall.start([Target("10.0.0.0/8")], [BAN], 0)
    await firewall.ban([BAN], 0)
    await firewall.unban([BAN.target])
    await firewall.close()
    assert not firewall.enforces
