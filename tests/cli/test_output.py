"""How values are written."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from mnistkit.cli import output
from mnistkit.utils.summary import Summary, SummaryTable, Text

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


HOSTILE = "a\x1b[2J\x9b\u202eb"
SHOWN = "a\\x1b[2J\\x9b\\u202eb"


def test_nothing_steers_what_reads_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Results, tables, summaries, notes and errors have control characters written out, not only on a terminal."""
    output.say(HOSTILE)
    output.print_table(("name", "n#"), [(HOSTILE, "1")])
    output.print_summary(
        Summary(
            title=HOSTILE,
            facts={"Name": HOSTILE},
            tables=(SummaryTable(title=HOSTILE, columns=(HOSTILE,), rows=[(HOSTILE,)]),),
            texts=(Text(title=HOSTILE, text=HOSTILE),),
            note=HOSTILE,
        )
    )
    output.note(HOSTILE)
    output.complain(HOSTILE)
    out, err = capsys.readouterr()
    assert (out.count(SHOWN), err.count(SHOWN)) == (10, 2)
    assert (out + err).isascii()


def test_json_escapes_what_could_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """The document means the same, half a character included, and is printed without such characters; others stay."""
    value = {f"{HOSTILE}\ud800": [HOSTILE, "é 数", "line\nbreak"]}
    output.print_json(value)
    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert not set(out) & {"\x1b", "\x9b", "\u202e", "\ud800"}
    assert "é 数" in out


def test_a_summary_is_lines_of_names_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    """State and facts are aligned, tables too, numbers to the right; a value's second line is no line of its own."""
    output.print_summary(
        Summary(
            title="Run a",
            state="Completed",
            facts={"Tags": "x=1\nError: none", "Took": "2.0 s", "Empty": None},
            tables=(
                SummaryTable(title="Metrics", columns=("metric", "value#"), rows=[("a\nb", 0.5), ("accuracy", 10.25)]),
                SummaryTable(title="Attempts", columns=("attempt",), rows=[]),
            ),
            texts=(Text(title="Traceback", text="one\n  two"), Text(title="Files", text="")),
        )
    )
    assert capsys.readouterr().out == (
        "Run a\nState: Completed\nTags:  x=1\n       Error: none\nTook:  2.0 s\n"
        "Metrics:\n  metric    value\n  a\\nb        0.5\n  accuracy  10.25\n"
        "Traceback:\n  one\n    two\n"
    )
