"""The language of filters: what matches, what is refused, and that nothing else can happen."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mnistkit.errors import UnknownNameError, UsageError
from mnistkit.runs.columns import Columns, sorted_rows
from mnistkit.runs.filter import parse_filter
from mnistkit.runs.row import RunRow

NAN = float("nan")


def row(run_id: str, **values: Any) -> RunRow:
    """A row of a completed run."""
    return RunRow(**{
        "id": run_id, "experiment": "demo", "state": "Completed", "created_at": 1_795_000_000.0, "data": "mnist",
        "model": "LogisticRegression", **values,
    })  # fmt: skip


ROWS = [
    row("a", metrics={"accuracy": 0.95, "log loss": 0.2}, params={"C": 1.0, "solver": "lbfgs", "dual": True}, seed=1),
    row("b", metrics={"accuracy": 0.9, "log loss": 0.3}, params={"C": 10, "solver": "saga", "dual": False}, seed=2),
    row(
        "c",
        metrics={"accuracy": NAN},
        params={"C": "auto"},
        data="digits",
        tags={"fold": "3", "x": "y"},
        note="Odd, Look",
    ),
    row("d", state="Failed", error="ValueError: no", started_at=1_795_000_001.0, finished_at=1_795_000_061.0),
]
COLUMNS = Columns(ROWS)


def matching(text: str) -> str:
    """The ids of the rows that match."""
    return "".join(found.id for found in parse_filter(text).apply(ROWS, COLUMNS))


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("accuracy > 0.92", "a"),
        ("accuracy>=.9 and data=='mnist'", "ab"),
        ("accuracy = 9e-1", "b"),
        ("metrics.accuracy < 1 AND NOT params.solver == 'saga'", "a"),
        ("metrics.`log loss` < 0.25 or `log loss` > .25", "ab"),
        ("state == 'failed'", "d"),
        ("state in ('Failed', 'completed') and seed is not none", "ab"),
        ("not (accuracy > 0.9)", "bcd"),
        ("accuracy is none", "cd"),
        ("accuracy != 0.95", "b"),
        ("params.C <= 10", "ab"),
        ("params.C == 'auto'", "c"),
        ("params.C != 1", "bc"),
        ("params.C not in (1, 10)", "cd"),
        ("dual == true", "a"),
        ("dual != true", "b"),
        ("seed == 1 or seed == 2 and accuracy > 1", "a"),
        ("(seed == 1 or seed == 2) and accuracy > 1", ""),
        ("tags.fold == 3 and fold < 4 and fold == '3'", "c"),
        ("note contains 'look'", "c"),
        ("run in (\"a\", 'd')", "ad"),
        ("duration > 59 and duration < 61", "d"),
        ("created > '2026-11-01' and created < '2027-01-01 00:00'", "abcd"),
        ("error contains 'VALUEERROR'", "d"),
        ("solver >= 'm'", "b"),
    ],
)
def test_what_matches(text: str, ids: str) -> None:
    """Numbers, texts, times and missing values compare as the grammar says; a missing one makes a comparison false."""
    assert matching(text) == ids


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text ends"),
        ("accuracy", "an operator after 'accuracy'"),
        ("accuracy > ", "a number, a text in quotes"),
        ("accuracy > 0.9 seed == 1", "'and', 'or' or the end, but found 'seed == 1'"),
        ("(accuracy > 0.9", "expected ')'"),
        ("accuracy > 1e999", "expected a number"),
        ("accuracy > 'high'", "accuracy is a number"),
        ("data == 5", "data is text"),
        ("created > 'noon'", "created is a time"),
        ("created > 5", "created is a time"),
        ("dual < true", "only == and !="),
        ("note contains 5", "a text in quotes"),
        ("__import__('os')", "an operator after '__import__'"),
        ("accuracy.__class__ == 1", "No run has 'accuracy.__class__'"),
        ("acuracy > 0.9", "metrics.accuracy, metrics.log loss"),
        ("state == 'done'", "There is no state 'done'; there are Queued"),
        ("not " * 51 + "seed == 1", "at most 50 levels"),
        ("(" * 5_000, "at most 50 levels"),
        ("a" * 10_001, "at most 10000 are read"),
        ("seed is not 1", "expected 'none'"),
        ("seed not 1", "expected 'in'"),
        ("seed in ()", "expected a number"),
        ("data == 'mnist", "expected the closing quote"),
        ("data § 2", "a name, a value or an operator"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    """A filter that can't be read is a usage error that says where and why; an unknown name lists the known ones."""
    with pytest.raises((UsageError, UnknownNameError)) as caught:
        parse_filter(text).apply(ROWS, COLUMNS)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 600


def test_an_ambiguous_name_must_say_which() -> None:
    """A name that is both a metric and a parameter is refused; with its group it is found."""
    rows = [row("a", metrics={"C": 2.0}, params={"C": 1.0})]
    with pytest.raises(UsageError, match=r"metrics\.C, params\.C"):
        parse_filter("C == 1").apply(rows, Columns(rows))
    assert parse_filter("params.C == 1 and metrics.C == 2").apply(rows, Columns(rows)) == rows


PIECES = (
    "accuracy", "params.C", "metrics.`log loss`", "`", "data", "state", "created", "tags.fold", "unknown", "and", "or",
    "not", "in", "is", "none", "contains", "true", "==", "=", "!=", "<", "<=", ">", ">=", "(", ")", ",", "0.92",
    "-1e3", "1e999", "9" * 400, "'mnist'", '"x"', "'", '"', ".", "..", "\\", "\x00", "\n", "\u202e", "\ud800", "é",
    ";", "lambda: 1", "__class__", "'2026-11-28'", "'9999-12-31T23:59:59+14:00'", "'0001-01-01'", " ",
)  # fmt: skip
GOOD = "accuracy > 0.92 and data == 'mnist' and not (params.C in (1, 2) or created > '2026-11-01') or fold is not none"


def test_whatever_is_written_is_answered_or_refused() -> None:
    """20,000 filters, of pieces of the language and of good ones with mistakes: rows, or a usage error."""
    rng = random.Random(22)
    outcomes = {"rows": 0, "refused": 0}
    for turn in range(20_000):
        if turn % 2:
            text = rng.choice((" ", "")).join(rng.choices(PIECES, k=rng.randint(1, 12)))
        else:
            start, end = sorted(rng.choices(range(len(GOOD)), k=2))
            text = GOOD[:start] + rng.choice(("", *PIECES)) + GOOD[end if turn % 4 else start :]
        try:
            found = parse_filter(text).apply(ROWS, COLUMNS)
        except (UsageError, UnknownNameError):
            outcomes["refused"] += 1
        else:
            assert all(each in ROWS for each in found), text
            outcomes["rows"] += 1
    assert min(outcomes.values()) > 500, outcomes


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("accuracy", "bacd"),
        ("-accuracy", "abcd"),
        ("-data,run", "abdc"),
        ("C", "abcd"),
        ("-created,-run", "dcba"),
        ("fold", "cabd"),
    ],
)
def test_the_order(order: str, ids: str) -> None:
    """The first name counts most, a hyphen turns it round, numbers come before text, and what is missing comes last."""
    assert "".join(found.id for found in sorted_rows(ROWS, order, COLUMNS)) == ids


@pytest.mark.parametrize("order", ["", "-", "accuracy,", "acuracy"])
def test_an_order_without_a_name_is_refused(order: str) -> None:
    """Nothing to sort by is a usage error, an unknown name lists the known ones."""
    with pytest.raises((UsageError, UnknownNameError)):
        sorted_rows(ROWS, order, COLUMNS)
