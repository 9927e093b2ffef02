"""What no tool that bans can do without, and nothing more: `python -m tests.bench.peers.listener PORT HOW`.

It reads the manager interface, finds failures by one regex, counts, and bans at the fifth: with one prepacked netlink
message for all of a read (HOW is `netlink`), or with a process `nft` or `ipset` for each. No event is judged, nothing
expires, nothing is written."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence

TABLE, SET = "bare", "banned"
LAYOUT = f"""
table inet {TABLE} {{
    set {SET} {{ type ipv4_addr; }}
    chain incoming {{ type filter hook prerouting priority raw; ip saddr @{SET} drop; }}
}}
"""
LOGIN = b"Action: Login\r\nActionID: 1\r\nUsername: amiguard\r\nSecret: %s\r\n\r\n"
FAILURE = re.compile(rb"Event: ChallengeResponseFailed\r\n(?:[^\r]+\r\n)*?RemoteAddress: IPV4/UDP/([0-9.]+)/")
MAXRETRY = 5
STEP = 64 << 10

NETLINK_NETFILTER = 12
NFT_MSG_NEWSETELEM = 10 << 8 | 12
BATCH_BEGIN, BATCH_END = 16, 17
REQUEST, CREATE = 0x1, 0x400
NESTED = 0x8000
ELEMENT = struct.pack("=HHHHHH", 16, 1 | NESTED, 12, 1 | NESTED, 8, 1)
"""The headers of a list element, its key and the key's value (include/uapi/linux/netfilter/nf_tables.h)."""

Ban = Callable[[Sequence[bytes]], None]


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def message(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def by_netlink() -> Ban:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    begin = message(BATCH_BEGIN, REQUEST, struct.pack(">BBH", 0, 0, 10))
    end = message(BATCH_END, REQUEST, struct.pack(">BBH", 0, 0, 10))
    names = struct.pack(">BBH", 1, 0, 0) + attribute(1, TABLE.encode() + b"\0") + attribute(2, SET.encode() + b"\0")

    def ban(addresses: Sequence[bytes]) -> None:
        elements = b"".join(ELEMENT + socket.inet_aton(address.decode()) for address in addresses)
        body = names + attribute(3 | NESTED, elements)
        netlink.send(begin + message(NFT_MSG_NEWSETELEM, REQUEST | CREATE, body) + end)

    return ban


def by_nft(addresses: Sequence[bytes]) -> None:
    for address in addresses:
        subprocess.run(["nft", "add", "element", "inet", TABLE, SET, f"{{ {address.decode()} }}"], check=True)


def by_ipset(addresses: Sequence[bytes]) -> None:
    for address in addresses:
        subprocess.run(["ipset", "add", SET, address.decode()], check=True)


WAYS: dict[str, Callable[[], Ban]] = {"netlink": by_netlink, "nft": lambda: by_nft, "ipset": lambda: by_ipset}
"""How to ban -> makes what does."""


def listen(port: int, secret: str, ban: Ban) -> None:
    failures: Counter[bytes] = Counter()
    rest = b""
    with socket.create_connection(("127.0.0.1", port)) as ami:
        ami.sendall(LOGIN % secret.encode())
        while read := ami.recv(STEP):
            whole, _, rest = (rest + read).rpartition(b"\r\n\r\n")
            due = []
            for address in FAILURE.findall(whole):
                failures[address] += 1
                if failures[address] == MAXRETRY:
                    due.append(address)
            if due:
                ban(due)


if __name__ == "__main__":
    listen(int(sys.argv[1]), sys.stdin.readline().strip(), WAYS[sys.argv[2]]())
