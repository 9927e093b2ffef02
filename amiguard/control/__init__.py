"""How an administrator talks to the running daemon: HTTP on a Unix socket, and the client for it."""
