from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiguard.notifiers.rdap import Registration, registration

ADDRESS = ipaddress.ip_address("192.0.2.1")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["entities", "roles", "vcardArray", "name", "country", "startAddress", "abuse"]),
            inner,
            max_size=4,
        )
    ),
)


def read(**parts: Any) -> Registration:
    network = {"startAddress": "192.0.2.0", "endAddress": "192.0.2.255"} | parts
    return registration(json.dumps(network).encode(), ADDRESS)


@given(JSON, JSON, JSON)
def test_any_json_around_the_right_network_is_read_without_a_fault(entities: Any, name: Any, card: Any) -> None:
    people = [{"roles": ["registrant", "abuse"], "vcardArray": ["vcard", card]}, entities]
    found = read(entities=people, name=name)
    assert found.span == "192.0.2.0 - 192.0.2.255"


@given(JSON)
def test_any_other_json_is_a_value_error(anything: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- its subclasses come from several libraries
        registration(json.dumps(anything).encode(), ADDRESS)


def test_the_country_is_the_networks_else_the_holders() -> None:
    adr = ["adr", {}, "text", ["", "", "Street", "City", "", "", "Sweden"]]
    holder = {"roles": ["registrant"], "vcardArray": ["vcard", [["fn", {}, "text", "Org"], adr]]}
    assert read(entities=[holder], country="SE").country == "SE"
    assert read(entities=[holder]).country == "Sweden"


def test_the_handle_stands_in_for_a_missing_name() -> None:
    assert read(handle="NET-192-0-2-0-1").network == "NET-192-0-2-0-1"
