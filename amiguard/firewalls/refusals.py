"""What an administrator can do about it when the kernel refuses a change of nf_tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EAFNOSUPPORT, EEXIST, EINVAL, ENFILE, ENOENT, ENOMEM, ENOSPC, EOPNOTSUPP, EPERM, EPROTONOSUPPORT

from amiguard.errors import FirewallError
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.nftmessages import Kind, kind_of

NEWCHAIN = kind_of(Kind.NEWCHAIN)
QUESTIONS = {kind_of(Kind.GETSET), kind_of(Kind.GETGEN)}


@contextmanager
def explaining(table: str) -> Iterator[None]:
    """Explain each FirewallError that comes out of it."""
    try:
        yield
    except FirewallError as error:
        raise explained(error, table) from error


def explained(error: FirewallError, table: str) -> FirewallError:
    """Put what an administrator can do about a refusal before the kernel's own words.

    To a transaction for a subsystem that it lacks, the kernel answers EOPNOTSUPP, to a request for a list EINVAL."""
    refused = error.message if isinstance(error, Refused) else None
    listing = refused is not None and refused.kind in QUESTIONS
    whole = refused is None or listing
    match error.errno:
        case code if code == EPERM and whole:
            reason = "changing nftables needs the capability CAP_NET_ADMIN"
        case code if code == EPERM:
            reason = (
                f"another program owns the table inet {table}; if it is another amiguard, end it, "
                "or give this one a table of its own (AMIGUARD_FIREWALL_TABLE)"
            )
        case code if (code in {EOPNOTSUPP, EPROTONOSUPPORT, EAFNOSUPPORT} and whole) or (code == EINVAL and listing):
            reason = "this kernel has no nf_tables, or forbids netlink to this process"
        case code if code == EEXIST or (code == EOPNOTSUPP and refused is not None and refused.kind == NEWCHAIN):
            reason = f"a table inet {table} is there that is not amiguard's"
        case code if code == ENOENT:
            reason = f"the table inet {table} is gone, or parts of it"
        case code if code == ENFILE:
            reason = "a set of bans is full; what is in it stays banned"
        case code if code in {ENOMEM, ENOSPC}:
            reason = "the kernel has no memory left for bans; what is banned stays so"
        case _:
            return error
    return FirewallError(f"{reason}: {error}", error.errno)
