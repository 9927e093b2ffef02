"""Bans in ipset's sets, dropped by rules of iptables: for hosts whose firewall is made of these."""
