"""Where bans are put."""

from __future__ import annotations

from pydantic import BaseModel, Field

from amiguard.settings.kinds import ALL, FirewallKind, PortRanges, Switch, TableName, Verdict


class FirewallGroup(BaseModel):
    """Where bans are put."""

    firewall: FirewallKind = Field(
        "nftables", description="where bans are put; `ipset` = ipset and iptables; `dry-run` only logs them"
    )
    firewall_ports: PortRanges = Field(
        ALL,
        validate_default=True,
        description="ports that a ban closes; `all` closes everything, ICMP and every other protocol too",
    )
    firewall_verdict: Verdict = Field(
        "drop", description="`drop`, or `reject`: banned ones are told, by a TCP reset or ICMP port unreachable"
    )
    firewall_counters: Switch = Field(
        False, description="count packets and bytes for each ban; doubles the kernel memory that a ban takes"
    )
    firewall_table: TableName = Field(
        "amiguard", description="the nftables table; a second amiguard on one host needs a table of its own"
    )
    firewall_owner: Switch = Field(
        default=True,
        description="let nobody else change the table, where the kernel can (Linux 6.9): `nft flush ruleset` passes "
        "over it; `false` = administrators may, and what they take away is put back",
    )
