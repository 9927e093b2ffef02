"""Who may change amiguard's table: nobody else, where the kernel can promise that; and never two amiguards.

With the flags OWNER and PERSIST a table obeys one socket alone: `nft flush ruleset` passes over it, `nft delete table`
is refused. It outlives the socket, and the next amiguard takes it over with all that is in it. OWNER without PERSIST is
of no use: the table, and every ban in it, would vanish with the socket.

What a kernel can is found out by trying it. To flags that it does not know it answers EOPNOTSUPP or EINVAL."""

from __future__ import annotations

from errno import EINVAL, EOPNOTSUPP

from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import Message
from amiguard.firewalls.nftmessages import NFNL_SUBSYS_NFTABLES, Kind, TableFlag, delete_table, kind_of, new_table

NEWTABLE = kind_of(Kind.NEWTABLE)
UNKNOWN_FLAGS = {EOPNOTSUPP, EINVAL}

OURS = TableFlag.OWNER | TableFlag.PERSIST
LOCK = TableFlag.OWNER | TableFlag.DORMANT
"""Two flags, for `nft -j list tables` of nft 1.0.6, Debian 12's, crashes on a table with just one."""

UNOWNED = "others can change the table (no tables with an owner that outlive it, Linux 6.9): what they do is undone"
UNLOCKED = "a second amiguard in the same table is not noticed (no tables with an owner, Linux 5.12)"


class Ownership:
    """The claim to one table, and what the kernel let us have of it.

    Where the table itself has no owner, an empty one beside it has: it tells a second amiguard of the first, and goes
    when its socket does. Both ways meet there, for who wants to own the table looks whether the empty one is free."""

    def __init__(self, table: str, *, wanted: bool) -> None:
        self.flags = OURS if wanted else TableFlag(0)
        """With which flags the table is to be made."""
        self.lacks: list[str] = []
        """What this kernel can't do, in words."""
        self._lock = f"{table}_lock"
        self._trial = new_table(self._lock, owned=self.flags)
        self._holder = Netlink(NFNL_SUBSYS_NFTABLES)
        self._locked = False

    @property
    def exclusive(self) -> bool:
        """Whether the table obeys our socket alone, once it is made."""
        return TableFlag.OWNER in self.flags

    def begin(self) -> None:
        """Forget what the table was made with that is there no more, before everything is laid out anew."""
        if not self.exclusive:
            self.flags = TableFlag(0)

    async def claim(self) -> list[Message]:
        """Return what must go before the layout in its transaction.

        Raises:
            Refused: EPERM if another amiguard works in this table.
        """
        if self.exclusive:
            return [self._trial, delete_table(self._lock)]
        if not self._locked:
            self._locked = True
            try:
                await self._holder.commit([new_table(self._lock, owned=LOCK)])
            except Refused as error:
                if error.errno not in UNKNOWN_FLAGS:
                    self._locked = False
                    raise
                self.lacks.append(UNLOCKED)
        return []

    def needs_a_new_table(self, error: Refused) -> bool:
        """Whether the table that is there can't be claimed, for it was made without an owner."""
        return self.exclusive and error.message is not self._trial and _by_flags(error)

    def yields(self, error: Refused) -> bool:
        """Whether to try again with less: the kernel knows no owners, or the table was made by one and outlived it."""
        if not _by_flags(error) or self.flags == TableFlag.PERSIST:
            return False
        if self.exclusive:
            self.flags = TableFlag(0)
            self.lacks.append(UNOWNED)
        else:
            self.flags = TableFlag.PERSIST
        return True

    async def close(self) -> None:
        """Let another amiguard have the table."""
        await self._holder.close()
        self._locked = False


async def probe_ownership(netlink: Netlink, table: str) -> str:
    """Tell who may change a table of amiguard's on this kernel, by making and deleting one of this name at once.

    Raises:
        Refused: for another reason than that the kernel lacks a flag.
    """
    for flags, told in ((OURS, "nobody else can change the table"), (LOCK, UNOWNED)):
        try:
            await netlink.commit([new_table(table, owned=flags), delete_table(table)])
        except Refused as error:
            if not _by_flags(error):
                raise
        else:
            return told
    return f"{UNOWNED}; {UNLOCKED}"


def _by_flags(error: Refused) -> bool:
    return error.message is not None and error.message.kind == NEWTABLE and error.errno in UNKNOWN_FLAGS
