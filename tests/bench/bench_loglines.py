"""How fast log lines are read, one core, no file: `python -m tests.bench.bench_loglines [LINES]`.

Goals: 300,000 lines a second where no line matches, 100,000 where each does."""

from __future__ import annotations

import sys
import time
from datetime import UTC
from typing import NamedTuple

from amiguard.asterisk.log.reading import LogReader

NOW = 1_795_350_000_000
RUNS = 5
NONE_GOAL, EACH_GOAL = 300_000, 100_000


class Log(NamedTuple):
    name: str
    form: str
    goal: int

    def lines(self, count: int) -> list[bytes]:
        """Return `count` lines of a log that 2,000 lines a second go into; `%` values differ from line to line."""
        return [
            (
                self.form % {"second": i // 2000 % 60, "n": i, "ms": i % 1000, "net": i % 200, "port": 1024 + i % 60000}
            ).encode()
            for i in range(count)
        ]


PLAIN = "[2026-11-22 10:07:%(second)02d] "
JSON = '{"hostname":"","timestamp":"2026-11-22 10:07:%(second)02d","identifiers":{"lwp":23658,"callid":""},"logmsg":'
LOGS = (
    Log("calls (VERBOSE)", PLAIN + "VERBOSE[23658][C-0000001a] pbx.c: Executing [%(n)d@from-internal:1] NoOp("
        '"PJSIP/6001-0000001a", "Incoming call from %(port)d") in new stack', NONE_GOAL),
    Log("other NOTICE lines", PLAIN + "NOTICE[23658] chan_sip.c: Peer '%(n)d' is now Reachable. (%(ms)dms / 2000ms)",
        NONE_GOAL),
    Log("calls, JSON", JSON + '{"location":{"filename":"pbx.c","function":"pbx_extension_helper","line":2939},"level":'
        '"VERBOSE","message":"Executing [%(n)d@from-internal:1] NoOp(\\"PJSIP/6001\\", \\"x\\") in new stack\\n"}}',
        NONE_GOAL),
    Log("PJSIP NOTICE", PLAIN + "NOTICE[23658] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from "
        "'<sip:%(ms)d@10.99.0.1>' failed for '10.99.%(net)d.5:%(port)d' (callid: 42f0daa8a8a3-%(n)d) - "
        "Failed to authenticate", EACH_GOAL),
    Log("chan_sip NOTICE", PLAIN + "NOTICE[23658] chan_sip.c: Registration from '<sip:%(ms)d@10.99.0.1>' failed for "
        "'10.99.%(net)d.5:%(port)d' - Wrong password", EACH_GOAL),
    Log("SECURITY", PLAIN + 'SECURITY[23689] res_security_log.c: SecurityEvent="ChallengeResponseFailed",EventTV='
        '"2026-11-22T10:07:%(second)02d.%(ms)03d+0000",Severity="Error",Service="PJSIP",EventVersion="1",AccountID="6001",'
        'SessionID="e27861aa1578-%(n)d",LocalAddress="IPV4/UDP/10.99.0.1/5060",RemoteAddress="IPV4/UDP/10.99.%(net)d.5/'
        '%(port)d",Challenge="1795342076/1a6943d8a8549af4",Response="49b8f224176117c8",ExpectedResponse=""', EACH_GOAL),
    Log("PJSIP NOTICE, JSON", JSON + '{"location":{"filename":"res_pjsip/pjsip_distributor.c","function":'
        '"log_failed_request","line":722},"level":"NOTICE","message":"Request '
        "'REGISTER' from '<sip:%(ms)d@10.99.0.1>' failed for '10.99.%(net)d.5:%(port)d' (callid: 42f0daa8a8a3-%(n)d)"
        ' - Failed to authenticate\\n"}}', EACH_GOAL),
)  # fmt: skip


def speed(log: Log, count: int) -> int:
    """Return lines a second of CPU time, the best of `RUNS`; every line matches or none does."""
    lines = log.lines(count)
    best = float("inf")
    for _ in range(RUNS):
        read = LogReader(UTC).read
        began = time.process_time()
        matched = sum(read(line, NOW) is not None for line in lines)
        best = min(best, time.process_time() - began)
        if matched != (count if log.goal == EACH_GOAL else 0):
            raise SystemExit(f"{log.name}: {matched} of {count} lines matched")
    return round(count / best)


def main(count: int = 100_000) -> None:
    print("| log | lines/s | goal | met |\n|---|---|---|---|")
    for log in LOGS:
        measured = speed(log, count)
        print(f"| {log.name} | {measured:,} | {log.goal:,} | {'yes' if measured >= log.goal else 'no'} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
