"""What Asterisk 22 tells the manager interface while somebody guesses passwords: captured once, told of anybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from tests.lab.captures import capture

RECORDED = "22-pjsip/reg-wrong-udp"
RECORDED_REMOTE = b"IPV4/UDP/10.99.130.5/44304"
RECORDED_CALL = b"d639cb30be82-0"

EVENTS = 2
"""An attempt over PJSIP makes a ChallengeSent and a ChallengeResponseFailed."""

_calls = count()


def attacker(number: int) -> str:
    """Return one of 65,536 addresses that RFC 2544 keeps for benchmarks."""
    return f"198.18.{number >> 8 & 255}.{number & 255}"


def attempt(address: str, port: int = 5060) -> bytes:
    """Return the events of one REGISTER with a wrong password, under a Call-ID of its own."""
    first = _recorded().replace(RECORDED_REMOTE, f"IPV4/UDP/{address}/{port}".encode())
    return first.replace(RECORDED_CALL, f"{next(_calls):012x}-0".encode())


def attempts(addresses: Sequence[str], each: int) -> Iterator[bytes]:
    """Yield `each` attempts of every address, one of each address in turn."""
    for _ in range(each):
        for address in addresses:
            yield attempt(address)


def _recorded() -> bytes:
    return capture(RECORDED).raw
