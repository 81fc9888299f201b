"""How values are written."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from mnistkit.cli import output

NOON = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0.0 s"), (4.25, "4.2 s"), (59.9, "59.9 s"), (65, "1:05"), (605, "10:05"), (3725, "1:02:05"), (-3, "0.0 s")],
)
def test_durations(seconds: float, expected: str) -> None:
    """Short times have tenths, long ones minutes and hours."""
    assert output.duration(NOON, NOON + timedelta(seconds=seconds)) == expected


def test_a_duration_without_an_end_is_unknown() -> None:
    """What hasn't ended took nobody knows how long."""
    assert output.duration(NOON, None) == "-"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain é 数 \t", "plain é 数 \t"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\x9b\x7f\0", "\\x9b\\x7f\\x00"),
        ("\u202e", "\\u202e"),
    ],
)
def test_control_characters_are_written_out(text: str, expected: str) -> None:
    """What could steer a terminal or reorder text is spelt; other text stays."""
    assert output.safe(text) == expected


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    """NaN and infinity, which JSON can't say, become null; times have their zone."""
    output.print_json({"a": [float("nan"), float("inf"), 1.5], "t": NOON})
    assert capsys.readouterr().out.split() == [
        "{",
        '"a":',
        "[",
        "null,",
        "null,",
        "1.5",
        "],",
        '"t":',
        '"2026-11-23T12:00:00+00:00"',
        "}",
    ]
