"""`blaster.py SOURCE SERVER PORT` sends datagrams as fast as it can until its stdin closes.

It prints a line when it has begun, and at the end how many it sent."""

from __future__ import annotations

import select
import socket
import sys

BURST = 200


def main() -> None:
    source, server, port = sys.argv[1:]
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    sent = 0
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        sender.connect((server, int(port)))
        payload = f"{source} blast".encode()
        while not select.select([sys.stdin], [], [], 0)[0]:
            for _ in range(BURST):
                sender.send(payload)
            if not sent:
                print("started", flush=True)
            sent += BURST
    print(sent)


if __name__ == "__main__":
    main()
