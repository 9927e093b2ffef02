"""Decides which blocks of the manager interface are Asterisk's own security events, and who stands behind forged ones.

What an attacker can do (each seen on a real Asterisk): the user part of a From header and the user name of an HTTP
login are percent-decoded and written raw, so CR LF in them adds headers, cuts an event in two, or adds whole events in
the middle of one. What he can't do: write after Asterisk's own SessionID, LocalAddress and RemoteAddress, which follow
his text, nor make them disappear. Hence the rules:

1. A block is an event only if every header stands in its place and once (`schema.match`).
2. A block that starts like an event and breaks the schema has been tampered with. Its true sender stands in the *last*
   authentic tail of what Asterisk wrote: in the block itself or in a headless remainder behind it.
3. How much can be smuggled in decides how long we wait for that remainder. PJSIP keeps 36 bytes of a name
   (`pjsip_distributor.c`, `name[AST_UUID_STR_LEN]`), too few for the head of a second event, so the next head ends it.
   chan_sip keeps 255 and an HTTP login thousands: whole forged events fit in. Behind those everything waits `HOLD`.
4. What came between the head of such an event and the last remainder within `REACH` is forged, and is dropped.
5. A manager's ChallengeResponseFailed has the attacker's text *behind* the address and so no remainder: nothing that
   follows it within `HOLD` and `REACH` is believed.
6. A block without any sign of smuggling that still does not fit is a newer Asterisk, not an attacker: it is counted as
   unreadable and nobody is blamed."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from amiguard.asterisk import forgery
from amiguard.asterisk.schema import HEAD, TAIL, SecurityEvent, match
from amiguard.model import Timestamp

HOLD = 250
"""Milliseconds that a manager event waits for a remainder: Asterisk writes it at once, the network may split it."""

REACH = 16 << 10
"""Bytes that one smuggled text can span: Asterisk's HTTP server takes a request line of 4 kB."""

MAX_HELD = 4 << 20
"""Bytes held back at most; beyond it the oldest are let go before their time."""

MAX_PIECES = 256


class _Held(NamedTuple):
    block: bytes
    event: SecurityEvent | None
    suspect: bool
    """A head behind which forged blocks may follow."""
    remainder: bool
    """Has a tail but no head: the end of what Asterisk wrote, or a forgery of it."""
    due: Timestamp


class EventParser:
    """Turns blocks into security events.

    Feed every block that is no response to us. `deadline` tells when `release` must be called: events are held back
    until then. The counters are totals: `unreadable` (blocks of a newer schema), `disbelieved` (dropped because they
    stood inside or behind a forgery), `unknown` (other classes of events)."""

    def __init__(self) -> None:
        self.unreadable = 0
        self.disbelieved = 0
        self.unknown = 0
        self._last: tuple[bytes, SecurityEvent] | None = None
        self._broken: list[bytes] = []
        self._held: deque[_Held] = deque()
        self._held_bytes = 0

    @property
    def deadline(self) -> Timestamp | None:
        """When `release` has something to do; None = nothing is held back."""
        return self._held[0].due if self._held else None

    def feed(self, block: bytes, now: Timestamp) -> list[SecurityEvent]:
        """Take one block and return the events that are certain now."""
        event = match(block)
        if event is not None and event.service == "PJSIP" and not (self._held or self._last or self._broken):
            return [event]  # what follows says too, but most events come this way
        if self._held:
            self._hold(block, event, now)
            return self.release(now)
        if event is not None and not forgery.is_possible(event):
            out = self._settle()
            if event.service == "PJSIP":
                out.append(event)
            else:
                self._last = (block, event)
            return out
        if event is not None or HEAD.match(block):
            out = self._settle()
            if event is None and forgery.is_short(block):
                self._broken = [block]
            else:
                self._hold(block, event, now)
            return out
        return self._feed_headless(block)

    def idle(self) -> list[SecurityEvent]:
        """Return what is certain when no more bytes have arrived: Asterisk writes a SIP event in one piece."""
        if self._broken and not any(TAIL.search(piece) for piece in self._broken):
            return []
        return self._settle()

    def release(self, now: Timestamp) -> list[SecurityEvent]:
        """Return the held events whose time has come at `now`."""
        out: list[SecurityEvent] = []
        while self._held and (not self._held[0].suspect or self._held[0].due <= now or self._held_bytes > MAX_HELD):
            out += self._let_go()
        return out

    def close(self) -> list[SecurityEvent]:
        """Return everything that is left: the connection has ended."""
        out = self._settle()
        while self._held:
            out += self._let_go()
        return out

    # -- short texts: PJSIP ------------------------------------------------------------------------------------------

    def _settle(self) -> list[SecurityEvent]:
        if self._last is not None:
            event = self._last[1]
            self._last = None
            return [event]
        if self._broken:
            pieces, self._broken = self._broken, []
            return self._blame(pieces, certain=TAIL.search(pieces[0]) is None)
        return []

    def _feed_headless(self, block: bytes) -> list[SecurityEvent]:
        if self._broken:
            if len(self._broken) < MAX_PIECES:
                self._broken.append(block)
            return self._settle() if TAIL.search(block) else []
        if self._last is not None and TAIL.search(block):
            whole, self._last = self._last[0], None
            return self._blame([whole, block], certain=True)
        self.unknown += 1
        return self._settle()

    # -- long texts: chan_sip, manager over HTTP ---------------------------------------------------------------------

    def _hold(self, block: bytes, event: SecurityEvent | None, now: Timestamp) -> None:
        head = event is not None or HEAD.match(block) is not None
        suspect = forgery.is_possible(event) if event is not None else head
        remainder = not head and TAIL.search(block) is not None
        self._held.append(_Held(block, event, suspect, remainder, now + HOLD))
        self._held_bytes += len(block)

    def _let_go(self) -> list[SecurityEvent]:
        end = self._last_remainder_within_reach() if self._held[0].suspect else 0
        if end:
            pieces = [self._drop().block for _ in range(end + 1)]
            self.disbelieved += len(pieces) - 2
            return self._blame(pieces, certain=True)
        held = self._drop()
        if held.suspect and forgery.follows_address(held.block):
            self._disbelieve_followers()
        if held.event is not None:
            return [held.event]
        if held.suspect:
            return self._blame([held.block], certain=False)
        self.unknown += 1
        return []

    def _last_remainder_within_reach(self) -> int:
        """Return where the forgery ends that the oldest held head began; 0 = it began none.

        The last remainder counts: the attacker may write others before it, but none behind."""
        end = reach = 0
        for index, held in enumerate(self._held):
            reach += len(held.block)
            if reach > REACH:
                break
            if held.remainder:
                end = index
        return end

    def _drop(self) -> _Held:
        held = self._held.popleft()
        self._held_bytes -= len(held.block)
        return held

    def _disbelieve_followers(self) -> None:
        reach = 0
        while self._held and (reach := reach + len(self._held[0].block)) <= REACH:
            self._drop()
            self.disbelieved += 1

    # ----------------------------------------------------------------------------------------------------------------

    def _blame(self, pieces: list[bytes], *, certain: bool) -> list[SecurityEvent]:
        event = forgery.blame(pieces) if certain or forgery.is_evident(pieces[0]) else None
        if event is None:
            self.unreadable += 1
            return []
        return [event]
