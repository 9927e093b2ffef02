"""Keeps the allowlist true everywhere: in the kernel before anything else, then in the bans, the store and the log.

What an administrator of this node said is told to the fleet; what the fleet says goes no further."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence

from amiguard.allowlist import Allowlist
from amiguard.enforcement import RETRY, Enforcement
from amiguard.errors import FirewallError
from amiguard.journal import Action, Journal
from amiguard.model import Address, Allowed, AllowOrigin, Ban, Origin, Target
from amiguard.ports import Disallowed, Resolved
from amiguard.recorder import Recorder
from amiguard.retry import Retry
from amiguard.stepping import in_steps

STEP = 1_000
"""Bans looked at in one step of the loop."""


class Exemptions:
    """Who is never banned, as it changes. `forget` drops what the jail has counted of an address."""

    def __init__(
        self,
        allowlist: Allowlist,
        enforcement: Enforcement,
        forget: Callable[[Address], None],
        recorder: Recorder,
        journal: Journal,
    ) -> None:
        self._allowlist = allowlist
        self.share: Callable[[Allowed | Disallowed], None] = lambda _: None
        """Is told of what an administrator of this node says."""
        self._enforcement = enforcement
        self._forget = forget
        self._recorder = recorder
        self._journal = journal
        settings = frozenset(entry.target for entry in allowlist if entry.origin is AllowOrigin.SETTINGS)
        self._targets: dict[tuple[AllowOrigin, str], frozenset[Target]] = {(AllowOrigin.SETTINGS, ""): settings}
        """By who says so, and his comment; without what administrators say, which is in `_runtime`."""
        self._runtime: dict[Target, Allowed] = {}
        self._waiting: set[Target] = set()
        """What was allowed, and whose bans may still stand."""
        self._changed = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        """Held from reading the allowlist until the kernel has it: or an older list would overwrite a newer one."""

    @property
    def names(self) -> list[str]:
        """The names that stand for somebody now."""
        return [name for (origin, name), targets in self._targets.items() if origin is AllowOrigin.NAME and targets]

    def adopt(self, allowed: Iterable[Allowed], names: Iterable[Resolved] = ()) -> None:
        """Take up what the store remembers; what was decided since wins.

        So a name has its last good answer also after a restart without DNS."""
        for name in names:
            if (AllowOrigin.NAME, name.name) not in self._targets:
                self._targets[AllowOrigin.NAME, name.name] = frozenset(name.addresses)
                for target in name.addresses:
                    self._allowlist.add(Allowed(target, AllowOrigin.NAME, name.name))
                self._apply(name.addresses)
        new = [entry for entry in allowed if entry.target not in self._runtime]
        for entry in new:
            self._runtime[entry.target] = entry
            self._allowlist.add(entry)
        self._apply(entry.target for entry in new)

    def set(self, origin: AllowOrigin, comment: str, targets: Collection[Target]) -> None:
        """Replace what `origin` told under this comment: a name's addresses, this host's own, `IGNOREIP`.

        From now on no ban of them is decided; the kernel and the bans that stand follow in the next step."""
        before = self._targets.get((origin, comment), frozenset())
        now = frozenset(targets)
        if now == before:
            return
        self._targets[origin, comment] = now
        if origin is AllowOrigin.NAME:
            self._recorder.record(Resolved(comment, tuple(sorted(now))))
        for target in now - before:
            self._allowlist.add(Allowed(target, origin, comment))
        for target in before - now:
            self._allowlist.remove(Allowed(target, origin, comment))
            self._start_anew(target)
        self._tell(origin, comment, sorted(now - before), sorted(before - now))
        self._apply(now - before)

    async def allow(self, target: Target, comment: str) -> list[Ban]:
        """Never ban a target, until `disallow`; return the bans that this lifted.

        Raises:
            FirewallError: the kernel refuses just now. It is remembered all the same, and tried again.
        """
        entry = Allowed(target, AllowOrigin.RUNTIME, comment)
        self.permit(entry)
        self.share(entry)
        return await self._carry_out()

    def permit(self, entry: Allowed) -> None:
        """Never ban a target from now on; the kernel and the bans that stand follow in the next step. What an
        administrator of this node said stands, whatever the fleet says."""
        known = self._runtime.get(entry.target)
        if known is not None:
            if entry.node and not known.node:
                return
            self._allowlist.remove(known)
        self._allowlist.add(entry)
        self._runtime[entry.target] = entry
        self._recorder.record(entry)
        if known != entry:
            self._tell(entry.origin, entry.comment, [entry.target], [], entry.node)
        self._apply([entry.target])

    async def disallow(self, target: Target) -> bool:
        """Take back what `allow` did; tell whether there was something to take back.

        Raises:
            FirewallError: the kernel refuses just now, and lets the target through until it takes the change.
        """
        entry = self._runtime.get(target)
        if entry is None:
            return False
        self.forbid(entry)
        self.share(Disallowed(target))
        await self._carry_out()
        return True

    def told(self) -> list[Allowed]:
        """Return who is never banned because an administrator of this node or another one said so."""
        return list(self._runtime.values())

    def find(self, target: Target) -> Allowed | None:
        """Return what was `told` of this very target."""
        return self._runtime.get(target)

    def forsake(self) -> None:
        """Take back what other nodes told: there are none any more."""
        for entry in [entry for entry in self.told() if entry.node]:
            self.forbid(entry)

    def forbid(self, entry: Allowed, node: str = "") -> None:
        """Take back one of those that were `told`, as `node` wants or this one; the kernel follows in the next step."""
        del self._runtime[entry.target]
        self._allowlist.remove(entry)
        self._recorder.record(Disallowed(entry.target))
        self._start_anew(entry.target)
        self._tell(entry.origin, entry.comment, [], [entry.target], node)
        self._apply([])

    async def run(self) -> None:
        """Carry out what changes, until cancelled; what the kernel refuses is tried again."""
        retry = Retry(*RETRY)
        while True:
            await self._changed.wait()
            try:
                await self._carry_out()
            except FirewallError as error:
                text = "the kernel refused a change of who is never banned; it is tried again"
                self._journal.write(Action.FIREWALL_FAILED, text, error=error)
                await asyncio.sleep(retry.next())
            else:
                retry.reset()

    # ----------------------------------------------------------------------------------------------------------------

    def _start_anew(self, target: Target) -> None:
        """Drop what was counted of an address that is a stranger's again, or it could be banned at once."""
        if "/" not in target:
            self._forget(Address(target))

    def _apply(self, added: Iterable[Target]) -> None:
        self._waiting.update(added)
        self._changed.set()

    async def _carry_out(self) -> list[Ban]:
        """Bring the kernel's list up to date, and then lift the bans of who is allowed now."""
        async with self._one_at_a_time:
            if not self._changed.is_set():
                return []
            self._changed.clear()
            added, self._waiting = self._waiting, set()
            try:
                await self._enforcement.allow(self._allowlist.targets())
                lifted = await self._lift(added)
            except FirewallError:
                self._apply(added)
                raise
            return lifted

    async def _lift(self, added: Collection[Target]) -> list[Ban]:
        """Lift the bans of these targets and of what lies in them. A wider one stays: the kernel lets them through."""
        bans = self._enforcement
        banned = [target for target in added if bans.holds(target)]
        if any("/" in target for target in added):
            networks = Allowlist(added)
            every = [*bans.active, *bans.waiting]
            banned += [target async for target in in_steps(every, STEP) if networks.holds(target)]
        for target in added:
            if "/" not in target:
                self._forget(Address(target))
        return await bans.unban(list(dict.fromkeys(banned)), Origin.LOCAL) if banned else []

    def _tell(
        self,
        origin: AllowOrigin,
        comment: str,
        allowed: Sequence[Target],
        disallowed: Sequence[Target],
        node: str = "",
    ) -> None:
        parts = [", ".join(allowed)] if allowed else []
        parts += [f"no longer {', '.join(disallowed)}"] if disallowed else []
        text = f"never banned{f', for {comment}' if comment else ''}: {'; '.join(parts)}"
        changed = {"allowed": allowed, "disallowed": disallowed} | ({"node": node} if node else {})
        self._journal.write(Action.ALLOWLIST_CHANGED, text, origin=origin, comment=comment, **changed)
