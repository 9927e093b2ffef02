"""amiguard bans the addresses that attack an Asterisk server, in the kernel, within milliseconds."""

__version__ = "0.1.0"
