from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amiguard.errors import SettingsError
from amiguard.settings import Settings, load
from amiguard.settings.durations import LONGEST, SECOND, InvalidDuration, format_duration, parse_duration

FIELDS = sorted(Settings.model_fields)
CANARY = "cAnArY"


@given(st.integers(min_value=1, max_value=LONGEST // SECOND))
def test_a_duration_is_read_as_it_is_shown(seconds: int) -> None:
    assert parse_duration(format_duration(seconds * SECOND)) == seconds * SECOND
    assert parse_duration(str(seconds)) == seconds * SECOND


@given(st.text(alphabet="0123456789smhdw .-+:PT", max_size=20))
def test_any_text_is_a_duration_within_bounds_or_refused(text: str) -> None:
    try:
        span = parse_duration(text)
    except InvalidDuration:
        return
    assert SECOND <= span <= LONGEST
    assert span % SECOND == 0


def problems_of(environ: dict[str, str]) -> list[str]:
    try:
        load(environ=environ)
    except SettingsError as error:
        return error.problems
    return []


@given(st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=80), max_size=4))
def test_any_text_in_any_variable_gives_settings_or_one_printable_line_a_variable(values: dict[str, str]) -> None:
    problems = problems_of({f"AMIGUARD_{name.upper()}": text for name, text in values.items()})

    names = [line.partition(":")[0] for line in problems]
    assert len(names) == len(set(names))
    assert all(name.startswith("AMIGUARD_") for name in names)
    assert all(line.isprintable() for line in problems)


@given(
    st.sampled_from(["AMI_SECRET", "SMTP_PASSWORD", "AMI_SECRT", "X"]),
    st.text(max_size=10),
    st.text(max_size=10),
    st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=8), max_size=3),
)
def test_a_secret_is_in_no_error_and_no_repr(name: str, before: str, after: str, values: dict[str, str]) -> None:
    environ = {f"AMIGUARD_{field.upper()}": text for field, text in values.items()}
    environ |= {"AMIGUARD_AMI_USERNAME": "u", f"AMIGUARD_{name}": f"{before}{CANARY}{after}"}
    try:
        shown = repr(load(environ=environ))
    except SettingsError as error:
        shown = repr(error) + str(error.__cause__) + str(error.__context__)
    assert CANARY not in shown
