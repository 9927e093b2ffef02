"""The steps of the demo. Each one must really be seen; the first that is not ends it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from amiguard.demo import kernel
from amiguard.demo.guarded import SOON, Guarded, Line
from amiguard.demo.mailbox import Mailbox, text_of
from amiguard.demo.network import ATTACKER, PHONE, Network
from amiguard.demo.seeing import NotSeen, within
from amiguard.demo.server import ACCOUNT, Server
from amiguard.demo.show import Screen
from amiguard.demo.sip import OK, UNAUTHORIZED, Agent
from amiguard.journal import Action

MAXRETRY = 5
"""amiguard's default, which the demo leaves as it is."""

HEADERS = ("From", "To", "Subject", "Date", "Message-ID")


@dataclass(slots=True)
class Story:
    """Who plays."""

    screen: Screen
    network: Network
    server: Server
    daemon: Guarded
    mailbox: Mailbox

    async def tell(self) -> None:
        """Go through all steps.

        Raises:
            NotSeen: one of them did not happen.
            FirewallError: the kernel has no table of amiguard's.
        """
        await self._begin()
        await self._attack()
        await self._on_the_wire()
        await self._in_the_mail()
        await self._ask()
        await self._let_in_again()
        code = await self.daemon.stop()
        require(code == 0, f"the daemon's exit code 0 (it was {code})")
        self.screen.step("SIGTERM: amiguard has stopped, exit code 0")

    async def _begin(self) -> None:
        await self.daemon.told(Action.READY)
        (connected, *_) = await self.daemon.told(Action.AMI_CONNECTED)
        self.screen.step("amiguard run: the firewall is laid out, and Asterisk's security events arrive")
        self.screen.quote(connected.fields["message"])
        await self._phone_registers()
        self.screen.step(f"The phone at {PHONE} registers: 200 OK")

    async def _attack(self) -> None:
        started = zero = now()
        for number in range(MAXRETRY):
            with Agent(self.network.outside, ATTACKER, ACCOUNT) as agent:
                status = await agent.register(f"guess-{number}")
                require(status == UNAUTHORIZED, f"a refused login of the attacker (it was {status})")
                zero = agent.sent_at
        (ban, *_) = await self.daemon.told(Action.BAN)
        elements = await kernel.banned(self.network.server)
        read_at = now()
        failures = await self.daemon.told(Action.FAILURE, MAXRETRY)
        what = "the fifth wrong password leaves the attacker"
        if self.server.told_at:
            zero = self.server.told_at[MAXRETRY - 1]
            what = "Asterisk's bytes about the fifth wrong password leave the stand-in"
        self.screen.zero = zero
        self.screen.step(f"The attacker at {ATTACKER} guesses passwords of {ACCOUNT} over UDP: 5 x 401 Unauthorized")
        self.screen.note("the first REGISTER leaves the attacker", started)
        self.screen.note(what, zero)
        self._show_log(failures[:MAXRETRY], ban)
        require(set(elements) == {ATTACKER}, f"the attacker alone in the kernel's set (in it: {list(elements)})")
        self.screen.step("The kernel's own set, read back over netlink", read_at)
        name = f"table inet {kernel.TABLE}, set {kernel.BANNED}"
        self.screen.quote(f"{name}: {ATTACKER} expires in {elements[ATTACKER]} s")

    def _show_log(self, failures: list[Line], ban: Line) -> None:
        self.screen.step("amiguard's log has five failures; of each line, what differs")
        for failure in failures:
            require(failure.fields["source.ip"] == ATTACKER, "the attacker's address in each failure")
            self.screen.failure(failure.fields, failure.at)
        require(ban.fields["source.ip"] == ATTACKER, "the attacker's address in the ban")
        require(ban.fields["event.outcome"] == "success", "the kernel's acknowledgement of the ban")
        self.screen.step("The kernel has acknowledged the ban, and only then the log says so", ban.at)
        self.screen.quote(ban.text)

    async def _on_the_wire(self) -> None:
        before = await kernel.dropped(self.network.server)
        arrived, passed = self._arrived(ATTACKER), self._arrived(PHONE)
        with Agent(self.network.outside, ATTACKER, ACCOUNT) as agent:
            agent.send()
            await self._phone_registers()
            async with within(SOON, "the attacker's packet among those that the kernel dropped"):
                while (after := await kernel.dropped(self.network.server)) == before:
                    pass
            require(not agent.heard(), "silence for the attacker")
        require(self._arrived(ATTACKER) == arrived, "that the attacker's packet does not arrive")
        self.screen.step("The attacker's next packet is dropped, the phone's packets pass", now())
        self._show_arrivals(ATTACKER, f"sent 1, dropped by the kernel {after - before}, answered 0", arrived)
        self._show_arrivals(PHONE, "registered once more, 200 OK", passed)

    async def _in_the_mail(self) -> None:
        async with within(SOON, "the mail about the ban"):
            mail = await self.mailbox.get()
        received = now()
        text = text_of(mail)
        require(ATTACKER in text and ATTACKER in str(mail["Subject"]), "the attacker's address in the mail")
        self.screen.step("The administrator's mail server has received", received)
        self.screen.quote("\n".join(f"{name}: {mail[name]}" for name in HEADERS))
        self.screen.quote(f"\n{text}")

    async def _ask(self) -> None:
        self.screen.step("The daemon answers the administrator")
        status = json.loads(await self.daemon.command("status", "--json"))
        require(status["ready"] and status["bans"]["active"] == 1, "one ban in amiguard status")
        self.screen.command(["status"], await self.daemon.command("status"))
        listed = await self.daemon.command("banned")
        require(ATTACKER in listed, "the attacker in amiguard banned")
        self.screen.command(["banned"], listed)

    async def _let_in_again(self) -> None:
        arrived = self._arrived(ATTACKER)
        answer = await self.daemon.command("unban", ATTACKER)
        await self.daemon.told(Action.UNBAN)
        require(not await kernel.banned(self.network.server), "an empty set in the kernel")
        with Agent(self.network.outside, ATTACKER, ACCOUNT) as agent:
            agent.send()
            status = (await agent.answer()).status
        require(status == UNAUTHORIZED, f"Asterisk's challenge for the attacker (it was {status})")
        self.screen.step("After an unban the attacker's packets arrive again")
        self.screen.command(["unban", ATTACKER], answer)
        self._show_arrivals(ATTACKER, "sent 1, answered 1: 401 Unauthorized", arrived)

    async def _phone_registers(self) -> None:
        with Agent(self.network.outside, PHONE, ACCOUNT) as agent:
            status = await agent.register(self.server.password)
        require(status == OK, f"200 OK for the phone (it was {status})")

    def _arrived(self, source: str) -> int:
        return 0 if self.server.arrived is None else self.server.arrived[source]

    def _show_arrivals(self, source: str, what: str, before: int) -> None:
        self.screen.note(f"{source}: {what}")
        if self.server.arrived is not None:
            after = self.server.arrived[source]
            self.screen.note(f"{source}: packets that reached the server: {before} until then, {after} now")


def now() -> float:
    """Return the loop's time, in seconds."""
    return asyncio.get_running_loop().time()


def require(seen: bool, what: str) -> None:
    """Raise NotSeen where something was not seen."""
    if not seen:
        raise NotSeen(what)
