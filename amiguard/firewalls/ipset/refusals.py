"""What an administrator can do about it when the kernel refuses a change of ipset's sets."""

from __future__ import annotations

from errno import EEXIST, ENFILE, ENOENT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset.format import FULL, REFUSALS
from amiguard.firewalls.netlinkcalls import Refused

MISSING = frozenset({EOPNOTSUPP, EPROTONOSUPPORT, ENOENT})
"""What the kernel answers that has no nf_tables, or does not know xtables' matches in it."""


def explained(refused: Refused) -> FirewallError:
    """Put what an administrator can do about a refusal before the kernel's own words."""
    what = refused.message.what if refused.message else "any change"
    match refused.errno:
        case code if code == EPERM:
            return FirewallError(f"changing ipset's sets needs the capability CAP_NET_ADMIN: {refused}", code)
        case code if code == EEXIST:
            return FirewallError(f"{what} is there and of another kind: {refused}", code)
        case code if code == FULL:  # told as nftables tells it, for it is dealt with alike
            return FirewallError(f"the kernel refused {what}: the set is full; what is in it stays banned", ENFILE)
        case code if code in REFUSALS:
            return FirewallError(f"the kernel refused {what}: {REFUSALS[code]}", code)
        case _:
            return refused
