"""Differences between runs: parameters, code, data, libraries, seed, metrics and times."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from mnistkit.data.split import Split
from mnistkit.errors import MnistkitError, UsageError
from mnistkit.evaluation.comparison import Comparison
from mnistkit.evaluation.results import run_dataset, run_model
from mnistkit.evaluation.scores import predict
from mnistkit.jobs.fingerprint import Fingerprint
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.row import RunRow
from mnistkit.runs.run import Run
from mnistkit.utils.markup import render
from mnistkit.utils.summary import Cell, Summary, SummaryTable
from mnistkit.utils.text import duration, number

__all__ = ["ComparedItem", "RunComparison", "SourceDiff", "compare_runs"]

_MAX_RUNS = 20
_MAX_DIFF_LINES = 400
_CONTEXT_LINES = 3
_ID_TAIL_CHARS = 6
_DIGEST_CHARS = 12
_SAME = "the same content"


@frozen
class ComparedItem:
    """One item, such as a parameter, with its value in each run.

    Attributes:
        name: Of the parameter, library, metric or phase.
        values: As text, a value per run; None for a run that lacks the item.
    """

    name: str
    values: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        """True if the runs don't all have the same value."""
        return len(set(self.values)) > 1


@frozen
class SourceDiff:
    """One source file of two runs that isn't the same, side by side.

    Attributes:
        file: Its path in the script's folder.
        names: What the two runs are called.
        lines: Pairs of lines: of the first run and of the second. A hyphen marks one that only the first has, a plus
            one that only the second has; a pair of dots stands for equal lines that are left out.
    """

    file: str
    names: tuple[str, str]
    lines: tuple[tuple[str, str], ...]


@frozen(kw_only=True)
class RunComparison:
    """The differences between some runs. The first is the one that the others are compared with.

    Attributes:
        runs: The runs.
        parameters: The parameters that differ, defaults included; with the estimator, seed and training images.
        data: The data, if it differs.
        code: The files of the users' own code that differ, by their digests.
        libraries: The libraries whose versions differ.
        metrics: All metrics.
        times: The time in each state.
        diffs: The sources that differ, where the runs keep them: of the first run and each other one.
        tests: For each run but the first, the test of its predictions against those of the first, or why there is none.
    """

    runs: tuple[RunRow, ...]
    parameters: tuple[ComparedItem, ...]
    data: tuple[ComparedItem, ...]
    code: tuple[ComparedItem, ...]
    libraries: tuple[ComparedItem, ...]
    metrics: tuple[ComparedItem, ...]
    times: tuple[ComparedItem, ...]
    diffs: tuple[SourceDiff, ...] = ()
    tests: tuple[Comparison | str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """A short name for each run: the end of its id, or all of it where two end alike."""
        short = tuple(row.id[-_ID_TAIL_CHARS:] for row in self.runs)
        return short if len(set(short)) == len(short) else tuple(row.id for row in self.runs)

    def describe(self) -> Summary:
        """Return a table for each kind of difference, and the sources side by side."""
        parts = {
            "Parameters": self.parameters, "Data": self.data, "Code": self.code, "Libraries": self.libraries,
            "Metrics": self.metrics, "Times": self.times,
        }  # fmt: skip
        same = [title.lower() for title, items in parts.items() if not items and title not in {"Metrics", "Times"}]
        facts: dict[str, Cell] = {"The same in all": ", ".join(same)}
        for row, test in zip(self.runs[1:], self.tests, strict=False):
            facts[f"{row.id} against {self.runs[0].id}"] = str(test)
        runs = [(name, row.id, row.state, row.experiment) for name, row in zip(self.names, self.runs, strict=True)]
        tables = [
            SummaryTable(title="Runs", columns=("run", "id", "state", "experiment"), rows=runs),
            *(self._table(title, items) for title, items in parts.items()),
            *(_diff_table(diff) for diff in self.diffs),
        ]
        return Summary(title=f"Comparison of {len(self.runs)} runs", facts=facts, tables=tuple(tables))

    def _table(self, title: str, items: Sequence[ComparedItem]) -> SummaryTable:
        is_numeric = title in {"Metrics", "Times"}
        columns = ("", *(f"{name}{'#' * is_numeric}" for name in self.names))
        rows = [(item.name, *("-" if value is None else value for value in item.values)) for item in items]
        return SummaryTable(title=title, columns=columns, rows=rows)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.describe())


def compare_runs(runs: Iterable[Run], *, predictions: bool = True) -> RunComparison:
    """Return what differs between runs; the first is the one that the others are compared with.

    Where two completed runs are on the same data, their models are loaded, as far as that is safe, and predict the test
    images again: McNemar's test says whether one is better. See `mnistkit.evaluation.Comparison`.

    Args:
        runs: Two to twenty of any backend, as of their last poll.
        predictions: False to load no model and no data.

    Raises:
        UsageError: There are fewer than two runs, or more than twenty.
    """
    found = tuple(runs)
    if not 2 <= len(found) <= _MAX_RUNS:  # noqa: PLR2004 - it takes two
        raise UsageError(f"{len(found)} runs can't be compared: name two to {_MAX_RUNS}.")
    records = [run.record for run in found]
    rows = tuple(RunRow.of(record) for record in records)
    prints = [record.job.fingerprint for record in records]
    made = RunComparison(
        runs=rows,
        parameters=_differing([{"estimator": row.model, **_settings(row)} for row in rows]),
        data=_data(rows, prints),
        code=_differing([_short_digests(each.code) if each else {} for each in prints]),
        libraries=_differing([dict(record.versions) for record in records]),
        metrics=_items([{name: number(value) for name, value in row.metrics.items()} for row in rows]),
        times=_items([_times(record) for record in records]),
    )
    sources = [run.sources() for run in found]
    diffs = [
        diff
        for sources_of_other, name in zip(sources[1:], made.names[1:], strict=True)
        for diff in _diffs(sources[0], sources_of_other, (made.names[0], name))
    ]
    tests = _tests(found, made) if predictions else ()
    return evolve(made, diffs=tuple(diffs), tests=tests)


def _settings(row: RunRow) -> dict[str, str]:
    own = {} if row.seed is None else {"seed": row.seed, "training images": row.limit or "all"}
    settings = {**own, **row.defaults, **row.params}
    return {name: number(value) if isinstance(value, float) else str(value) for name, value in settings.items()}


def _short_digests(digests: Mapping[str, str]) -> dict[str, str]:
    return {name: digest[:_DIGEST_CHARS] for name, digest in digests.items()}


def _items(values: Sequence[Mapping[str, str]]) -> tuple[ComparedItem, ...]:
    names = dict.fromkeys(name for each in values for name in each)
    return tuple(ComparedItem(name, tuple(each.get(name) for each in values)) for name in names)


def _differing(values: Sequence[Mapping[str, str]]) -> tuple[ComparedItem, ...]:
    return tuple(item for item in _items(values) if item.differs)


def _data(rows: Sequence[RunRow], prints: Sequence[Fingerprint | None]) -> tuple[ComparedItem, ...]:
    """Return the data where it differs: a folder that was moved has another uri and the same content."""
    uris = ComparedItem("uri", tuple(row.data for row in rows))
    digests = [dict(each.data) if each else {} for each in prints]
    if all(digests) and all(each == digests[0] for each in digests):
        return (uris, ComparedItem("content", (_SAME,) * len(rows))) if uris.differs else ()
    contents = _differing([_short_digests(each) for each in digests]) if all(digests) else ()
    return ((uris,) if uris.differs else ()) + contents


def _times(record: RunRecord) -> dict[str, str]:
    seconds: dict[str, float] = {}
    for phase in record.phases:
        seconds[str(phase.state)] = seconds.get(str(phase.state), 0.0) + phase.seconds
    if record.finished_at is not None:
        seconds["in all"] = (record.finished_at - record.created_at).total_seconds()
    return {name: duration(value) for name, value in seconds.items()}


def _tests(runs: Sequence[Run], made: RunComparison) -> tuple[Comparison | str, ...]:
    first, *others = runs
    is_same_data = [not any(item.values[0] != item.values[i] for item in made.data) for i in range(1, len(runs))]

    @functools.cache
    def test_split() -> Split:
        return run_dataset(first).test

    cache: dict[str, NDArray[np.bool_]] = {}

    def test(other: Run, name: str, *, is_same: bool) -> Comparison | str:
        if not is_same and first.record.data != other.record.data:
            return "no test of their predictions: they are on different data."
        for run in (first, other):
            if run.state is not RunState.COMPLETED:
                return f"no test of their predictions: run {run.id} is {run.state}."
        try:
            a, b = (_right(run, test_split, cache) for run in (first, other))
        except MnistkitError as error:
            return f"no test of their predictions: {error}"
        return _comparison(a, b, (made.names[0], name))

    return tuple(
        test(other, name, is_same=is_same)
        for other, name, is_same in zip(others, made.names[1:], is_same_data, strict=True)
    )


def _right(run: Run, test_split: Callable[[], Split], cache: dict[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    if run.id not in cache:
        model = run_model(run)
        cache[run.id] = predict(model, test_split()).right
    return cache[run.id]


def _comparison(a: NDArray[np.bool_], b: NDArray[np.bool_], names: tuple[str, str]) -> Comparison:
    return Comparison(
        names=(f"run {names[0]}", f"run {names[1]}"),
        both_right=int((a & b).sum()),
        only_first=int((a & ~b).sum()),
        only_second=int((~a & b).sum()),
        both_wrong=int((~a & ~b).sum()),
    )


def _diffs(old: Mapping[str, str], new: Mapping[str, str], names: tuple[str, str]) -> list[SourceDiff]:
    if not old or not new:
        return []
    return [
        SourceDiff(file, names, tuple(_side_by_side(old.get(file, "").splitlines(), new.get(file, "").splitlines())))
        for file in sorted(old.keys() | new.keys())
        if old.get(file) != new.get(file)
    ]


def _side_by_side(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of lines, with three equal ones around each change."""
    pairs: list[tuple[str, str]] = []
    groups = difflib.SequenceMatcher(None, old, new, autojunk=len(old) + len(new) > 4 * _MAX_DIFF_LINES)
    for group in groups.get_grouped_opcodes(_CONTEXT_LINES):
        if pairs:
            pairs.append(("...", "..."))
        for kind, a, b, c, d in group:
            left, right = old[a:b], new[c:d]
            marks = ("  ", "  ") if kind == "equal" else ("- ", "+ ")
            pairs += zip_longest(
                [f"{marks[0]}{line}" for line in left], [f"{marks[1]}{line}" for line in right], fillvalue=""
            )
        if len(pairs) > _MAX_DIFF_LINES:
            return [*pairs[:_MAX_DIFF_LINES], ("... and more", "... and more")]
    return pairs


def _diff_table(diff: SourceDiff) -> SummaryTable:
    spaced: Callable[[str], str] = lambda line: line.expandtabs(4).replace(" ", "\N{NO-BREAK SPACE}")  # noqa: E731
    return SummaryTable(
        title=f"{diff.file} of {diff.names[0]} and {diff.names[1]}",
        columns=diff.names,
        rows=[(spaced(old), spaced(new)) for old, new in diff.lines],
    )
