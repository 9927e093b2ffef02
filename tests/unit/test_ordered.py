from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from amiguard.model import Address, Target, target_of
from amiguard.ordered import Ordered

few4 = st.integers(0, 1023).map(lambda number: Address(Target(f"198.51.{100 + number // 256}.{number % 256}")))
few6 = st.integers(0, 1023).map(lambda number: Address(Target(str(ip_address((0x20010DB8 << 96) + number)))))
addresses = st.one_of(few4, few6)
edges = st.sampled_from([Address(Target(text)) for text in ("0.0.0.0", "255.255.255.255", "::", "ffff::")])
changes = st.lists(st.tuples(st.booleans(), st.one_of(addresses, edges)), max_size=60)


@given(changes, addresses, st.integers(0, 128))
def test_whoever_lies_in_a_network_is_found_and_nobody_else(
    history: list[tuple[bool, Address]], one: Address, prefix: int
) -> None:
    ordered, kept = Ordered(), set[Address]()
    for put, address in history:
        (ordered.add if put else ordered.discard)(address)
        (kept.add if put else kept.discard)(address)
    network = ip_network((one, min(prefix, ip_address(one).max_prefixlen)), strict=False)

    assert len(ordered) == len(kept)
    assert set(ordered.within(target_of(network))) == {each for each in kept if ip_address(each) in network}
