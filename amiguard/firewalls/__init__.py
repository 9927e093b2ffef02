"""The edges that put bans into a kernel. Each fulfils `amiguard.ports.Firewall`."""
