"""`blaster.py SOURCE SERVER PORT` sends datagrams as fast as it can until its stdin closes.

It hands the kernel many at once, to be cut apart there (UDP_SEGMENT, Linux 4.18). A line tells that it has begun."""

from __future__ import annotations

import select
import socket
import sys

UDP_SEGMENT = 103
AT_ONCE = 50
BURST = 20


def main() -> None:
    source, server, port = sys.argv[1:]
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    payload = f"{source} blast".encode()
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(payload))
        sender.bind((source, 0))
        sender.connect((server, int(port)))
        sender.send(payload * AT_ONCE)
        print("started", flush=True)
        while not select.select([sys.stdin], [], [], 0)[0]:
            for _ in range(BURST):
                sender.send(payload * AT_ONCE)


if __name__ == "__main__":
    main()
