"""Everything that is known of one address, as JSON: what it did, what each rule counts, and why it is banned or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from amiguard.allowlist import Allowlist
from amiguard.answers import covering, dropped, iso, located, shown
from amiguard.enforcement import Enforcement
from amiguard.jail import Jail
from amiguard.model import Address, Allowed, Ban, Drops, Target, Timestamp
from amiguard.rules.protected import newcomer_key, phone_key
from amiguard.rules.rulebook import Rulebook

Facts = dict[str, object]

WORDS = {
    "jail": "failures",
    "datagrams": "failures that only datagrams claim",
    "newcomer": "failures of a new phone",
    "slow": "failures in the long window",
    "scanners": "unanswered challenges",
    "names": "account names",
    "networks": "offenders of its network",
}
"""What each rule counts."""


def offender(
    address: Address,
    rules: Rulebook,
    enforcement: Enforcement,
    allowlist: Allowlist,
    now: Timestamp,
    *,
    drops: Mapping[Target, Drops],
    countries: Mapping[Target, str],
    listed: Sequence[Facts] = (),
) -> Facts:
    """Return what is known of `address` at `now`. Account names are a stranger's text.

    `drops` and `countries` are what is known of its bans' targets, and of itself; `listed` says which lists name it."""
    bans = covering(address, enforcement.active.get)
    allowed = allowlist.around(address)
    reason = why(address, bans, allowed, rules, now, waiting=address in enforcement.waiting, listed=listed)
    return {
        "address": address,
        **located(countries.get(address)),
        "banned": bool(bans) and not allowed,
        "why": reason if enforcement.firewall.enforces else f"{reason} (a dry run, which drops nothing)",
        "allowed": [{"address": entry.target, "origin": entry.origin, "comment": entry.comment} for entry in allowed],
        "bans": [shown(ban, now) | dropped(drops.get(ban.target)) | located(countries.get(ban.target)) for ban in bans],
        "listed": list(listed),
        "earlier": enforcement.history.earlier(address),
        "tried": [{"account": name, "failures": how.failures} for name, how in rules.names.names(address, now)],
        "logins": rules.logins.accounts(address),
        "phones": phones(address, rules, now),
        "trunk": rules.presence.is_trunk(address),
        "rules": counts(address, rules, now),
    }


def phones(address: Address, rules: Rulebook, now: Timestamp) -> list[Facts]:
    """Return the accounts that are known to be at `address`, and how they fail themselves."""
    limit = max(rules.policy.maxretry, rules.policy.protected_maxretry)
    return [
        {
            "account": phone.account,
            "until": iso(phone.until),
            "failures": counted(rules.protected.phones, phone_key(address, phone.account), now)["count"],
            "limit": limit,
        }
        for phone in rules.presence.phones(address)
        if phone.until > now
    ]


def counts(address: Address, rules: Rulebook, now: Timestamp) -> Facts:
    """Return what each rule that is on has counted of `address`, and at how many it fires."""
    policy = rules.policy
    told: Facts = {"jail": counted(rules.jail, address, now)}
    if rules.protected.shelters(address, now):
        told["datagrams"] = counted(rules.protected.others, address, now)
        told["newcomer"] = counted(rules.protected.phones, newcomer_key(address), now)
    if rules.slow is not None:
        told["slow"] = counted(rules.slow, address, now)
    if rules.scanners is not None:
        told["scanners"] = counted(rules.scanners.jail, address, now)
    tried = list(rules.names.names(address, now))
    if policy.scan is not None and policy.scan.accounts:
        told["names"] = {"count": len(tried), "limit": policy.scan.accounts}
    most = rules.networks.most(address)
    if most:
        told["networks"] = {"count": rules.networks.offenders(address), "limit": most}
    if rules.accounts is not None:
        told["accounts"] = {"under_attack": [name for name, _ in tried if rules.accounts.under_attack(name, now)]}
    return told


def counted(jail: Jail, address: Address, now: Timestamp) -> Facts:
    """Return the failures of `address` within a jail's window, which ends now."""
    policy, known = jail.policy, jail.find(address)
    times = [] if known is None else [at for at in known.times if at >= now - policy.findtime]
    return {
        "count": len(times),
        "limit": policy.maxretry,
        "findtime": policy.findtime // 1000,
        "first": iso(times[0]) if times else None,
        "last": iso(times[-1]) if times else None,
        "evidence": None if known is None or not times else "connected" if known.connected else "datagram",
    }


def why(
    address: Address,
    bans: list[Ban],
    allowed: list[Allowed],
    rules: Rulebook,
    now: Timestamp,
    *,
    waiting: bool,
    listed: Sequence[Facts] = (),
) -> str:
    """Return in a sentence why the address is banned or not."""
    if allowed:
        return f"it is never banned: {allowed[0].target} is allowed ({allowed[0].origin.value})"
    if bans:
        ban = bans[0]
        until = "for ever" if ban.until is None else f"until {iso(ban.until)}"
        what = "it is" if ban.target == address else f"its network {ban.target} is"
        return f"{what} banned {until}: {ban.reason.value}, after {ban.failures} failures"
    if waiting:
        return "it is about to be banned; the kernel has not taken the ban yet"
    if listed:
        return f"it is not banned, but dropped: the list {listed[0]['feed']} names {listed[0]['address']}"
    spared = who_is_spared(address, rules, now)
    reached = counts(address, rules, now)
    parts = [
        f"{told['count']} of {told['limit']} {WORDS[rule]}"
        for rule, told in reached.items()
        if isinstance(told, dict) and told.get("count")
    ]
    if not parts:
        return f"it is not banned: {spared}" if spared else "nothing is held against it"
    return f"it is not banned: {', '.join(parts)}{f'; {spared}' if spared else ''}"


def who_is_spared(address: Address, rules: Rulebook, now: Timestamp) -> str:
    """Return why not everything counts against the address; nothing of a stranger."""
    if rules.presence.is_trunk(address):
        return "it is a trunk of this server, which nothing bans that only datagrams claim"
    if rules.protected.shelters(address, now):
        failing = [one for one in phones(address, rules, now) if one["failures"]]
        own_failures = ", ".join(f"{one['account']} {one['failures']} of {one['limit']}" for one in failing)
        return f"phones are known to be there, whose own failures count apart: {own_failures or 'none'}"
    return ""
