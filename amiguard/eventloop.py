"""An event loop in which some connections wait for all others.

Who connects to the control interface may come in hundreds, and each would have his callback in the same step of the
loop as Asterisk's events, in whatever order. Here only a few of them are told of in a step, behind everything else, so
that an event waits for a fraction of a millisecond and not for the crowd."""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from select import EPOLLIN, EPOLLOUT, epoll
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from amiguard.override import override

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

FEW = 2
"""Sockets that wait for others, and are told of in one step of the loop."""


class PatientSelector(selectors.EpollSelector):
    """An epoll that holds a second one, of those sockets that can wait."""

    def __init__(self) -> None:
        super().__init__()
        self._patient: WeakValueDictionary[int, socket.socket] = WeakValueDictionary()
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._later = epoll()
        super().register(self._later.fileno(), selectors.EVENT_READ)

    def defer(self, waiting: socket.socket) -> None:
        """Let a socket wait for others from its next registration on."""
        self._patient[waiting.fileno()] = waiting

    @override
    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        number = number_of(fileobj)
        known = self._patient.get(number)
        if known is None or known.fileno() != number:  # it was closed, and its number is another's
            return super().register(fileobj, events, data)
        key = self._keys[number] = selectors.SelectorKey(fileobj, number, events, data)
        self._later.register(number, mask(events))
        return key

    @override
    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        key = self._keys.pop(number_of(fileobj), None)
        if key is None:
            return super().unregister(fileobj)
        with suppress(OSError):  # it was closed already
            self._later.unregister(key.fd)
        return key

    @override
    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        number = number_of(fileobj)
        if number not in self._keys:
            return super().modify(fileobj, events, data)
        key = self._keys[number] = selectors.SelectorKey(fileobj, number, events, data)
        self._later.modify(number, mask(events))
        return key

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout)
        told = [(key, events) for key, events in ready if key.fd != self._later.fileno()]
        if len(told) < len(ready):
            for number, event in self._later.poll(0, FEW):
                key = self._keys[number]
                read = selectors.EVENT_READ if event & ~EPOLLOUT else 0
                write = selectors.EVENT_WRITE if event & ~EPOLLIN else 0
                told.append((key, (read | write) & key.events))
        return told

    @override
    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return _Keys(self._keys, super().get_map())

    @override
    def close(self) -> None:
        self._later.close()
        super().close()


class _Keys(Mapping["FileDescriptorLike", selectors.SelectorKey]):
    """What both hold."""

    def __init__(
        self, later: Mapping[int, selectors.SelectorKey], others: Mapping[FileDescriptorLike, selectors.SelectorKey]
    ) -> None:
        self._later = later
        self._others = others

    @override
    def __getitem__(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        key = self._later.get(number_of(fileobj))
        return self._others[fileobj] if key is None else key

    @override
    def __iter__(self) -> Iterator[FileDescriptorLike]:
        yield from self._later
        yield from self._others

    @override
    def __len__(self) -> int:
        return len(self._later) + len(self._others)


class EventLoop(asyncio.SelectorEventLoop):
    """The loop of the daemon."""

    def __init__(self) -> None:
        self.selector = PatientSelector()
        super().__init__(self.selector)


def defer(waiting: socket.socket) -> None:
    """Let a socket wait for others in the running loop, where that can; before anything is read from it."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, EventLoop):
        loop.selector.defer(waiting)


def number_of(fileobj: FileDescriptorLike) -> int:
    """Return a file's number."""
    return fileobj if isinstance(fileobj, int) else fileobj.fileno()


def mask(events: int) -> int:
    """Return what epoll calls these events."""
    return (EPOLLIN if events & selectors.EVENT_READ else 0) | (EPOLLOUT if events & selectors.EVENT_WRITE else 0)
