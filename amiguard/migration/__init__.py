"""Takes over from another program: the bans of fail2ban."""
