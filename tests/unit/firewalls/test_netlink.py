from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from amiguard.firewalls.netlinkformat import attributes
from amiguard.firewalls.nftmessages import set_name


@given(st.binary(max_size=300))
def test_any_bytes_are_read_to_their_end_as_attributes(data: bytes) -> None:
    assert sum(4 + len(payload) for _, payload in attributes(data)) <= len(data)
    assert set_name(data) is not None


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=20)), max_size=10))
def test_attributes_are_read_back_as_they_were_packed(wanted: list[tuple[int, bytes]]) -> None:
    packed = b"".join(
        struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4) for kind, payload in wanted
    )
    assert list(attributes(packed)) == wanted
