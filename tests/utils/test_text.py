"""Text for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistkit.utils.text import duration, number, safe


@given(st.text())
def test_safe_text_can_be_encoded_and_has_no_control_characters(text: str) -> None:
    """Whatever comes in, what comes out is printable but for newlines and tabs, can be encoded, and is left alone."""
    out = safe(text)
    assert not {c for c in out if ord(c) < 32} - {"\n", "\t"}
    out.encode()
    assert safe(out) == out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\udc80", "a\\udc80"),
        ("50%\r100%\r\nß", "50%\n100%\nß"),
    ],
)
def test_what_is_written_out(text: str, expected: str) -> None:
    """Escapes, direction marks and halves of characters are written out; returns are newlines; letters stay."""
    assert safe(text) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-1.0, "0.0 s"), (4.24, "4.2 s"), (65.0, "1:05"), (3753.0, "1:02:33")]
)
def test_durations(seconds: float, expected: str) -> None:
    """Below a minute in tenths, else like a clock; never below zero."""
    assert duration(seconds) == expected


def test_numbers_have_four_digits() -> None:
    """Metrics are short; what isn't finite has its name."""
    assert [number(v) for v in (12345.678, 0.92, 0.123456, 1.5e-7, -2e9, float("nan"))] == [
        "12346", "0.92", "0.1235", "1.5e-07", "-2e+09", "nan",
    ]  # fmt: skip
