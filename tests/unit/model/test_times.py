"""Moments become text and back without losing a microsecond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.model.times import from_rfc3339, to_rfc3339

YEAR_9999_US = 253_402_300_799_999_999


@given(st.integers(0, YEAR_9999_US))
def test_every_microsecond_survives(at_us: int):
    text = to_rfc3339(at_us)
    assert from_rfc3339(text) == at_us
    assert len(text) == 27
    assert text.endswith("Z")


@given(st.integers(0, YEAR_9999_US), st.integers(0, YEAR_9999_US))
def test_texts_sort_as_moments_do(one: int, other: int):
    assert (to_rfc3339(one) < to_rfc3339(other)) == (one < other)


@pytest.mark.parametrize(
    ("text", "at_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.5Z", 1_500_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2026-01-02T03:04:05.000006Z", 1_767_323_045_000_006),
    ],
)
def test_any_offset_is_read(text: str, at_us: int):
    assert from_rfc3339(text) == at_us


@pytest.mark.parametrize("text", ["", "now", "2026-01-02T03:04:05", "2026-13-01T00:00:00Z"])
def test_other_texts_are_refused(text: str):
    with pytest.raises(ValueError):
        from_rfc3339(text)
