"""The edges that look at what is around this server: names in DNS, its own addresses, its gateways and resolvers."""
