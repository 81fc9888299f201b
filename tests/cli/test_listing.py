"""``mnistkit runs list`` and ``mnistkit experiments``."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mnistkit.cli import listing
from mnistkit.trainer import Trainer

Program = Callable[..., Any]


@pytest.fixture
def two(trained: Trainer, failed_run: str) -> tuple[str, str]:
    """The ids of a completed run on digits with C=2 and a tag, and of a failed one."""
    return next(run.id for run in trained.runs() if run.id != failed_run), failed_run


def ids(out: str) -> list[str]:
    """The first column of a table."""
    return [line.split()[0] for line in out.splitlines()[1:]]


def test_no_runs_is_no_error(mnistkit: Program) -> None:
    """Without runs the lists are empty, and a note says how to make one."""
    for command in (("runs", "list"), ("experiments",)):
        outcome = mnistkit(*command)
        assert (outcome.out, mnistkit(*command, "--json").json) == ("", [])
        assert "mnistkit train" in outcome.err


def test_the_list_tells_runs_apart(mnistkit: Program, two: tuple[str, str]) -> None:
    """A row has state, time, accuracy, data, estimator with its parameters, experiment and tags."""
    completed, failed = two
    header, *rows = mnistkit("runs", "list").out.splitlines()
    assert header.split() == [
        "run", "state", "created", "duration", "accuracy", "data", "estimator", "experiment", "tags",
    ]  # fmt: skip
    assert [row.split()[:2] for row in rows] == [[failed, "Failed"], [completed, "Completed"]]
    assert "digits  " in rows[1]
    assert "LogisticRegression(C=2.0)" in rows[1]
    assert rows[1].endswith("sklearn-mnist  purpose=test")


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (("--where", "accuracy > 0.5 and data == 'digits'"), [0]),
        (("--where", "accuracy is none"), [1]),
        (("--state", "FAILED"), [1]),
        (("--state", "failed", "--state", "Completed", "--sort", "created"), [0, 1]),
        (("--sort=-created",), [1, 0]),
        (("--data", "digits"), [0]),
        (("--since", "1h", "-n", "1"), [1]),
        (("--experiment", "sklearn-mnist"), [1, 0]),
    ],
)
def test_options_choose(mnistkit: Program, two: tuple[str, str], options: tuple[str, ...], chosen: list[int]) -> None:
    """Each option leaves out what it should, in the table, in JSON and in CSV."""
    expected = [two[i] for i in chosen]
    assert ids(mnistkit("runs", "list", *options).out) == expected
    assert [each["id"] for each in mnistkit("runs", "list", *options, "--json").json] == expected
    text = mnistkit("runs", "list", *options, "--csv").out
    assert [each["run"] for each in csv.DictReader(text.splitlines())] == expected


def test_the_json_list_has_everything_with_iso_times(mnistkit: Program, trained: Trainer) -> None:
    """JSON has whole figures, parameters, files, tags and times with their zone."""
    (run,) = trained.runs()
    (found,) = mnistkit("runs", "list", "--json").json
    assert found["id"] == run.id
    assert found["metrics"] == run.metrics
    assert found["params"] == {"C": 2.0}
    assert found["files"] == list(run.files)
    assert found["tags"] == {"purpose": "test"}
    assert datetime.fromisoformat(found["created_at"]) == run.record.created_at


def test_columns_are_chosen(mnistkit: Program, two: tuple[str, str]) -> None:
    """--columns shows these; an unknown one lists the known."""
    header, *rows = mnistkit("runs", "list", "--columns", "C,error", "--state", "completed").out.splitlines()
    assert header.split() == ["run", "C", "error"]
    assert rows[0].split() == [two[0], "2"]
    assert "params.C" in mnistkit("runs", "list", "--columns", "nope", code=2).err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--where", "accuracy >"), "can't be read at character 11"),
        (("--where", "acuracy > 1"), "No run has 'acuracy'"),
        (("--sort", "acuracy"), "No run has 'acuracy'"),
        (("--state", "done"), "There is no state 'done'"),
        (("--since", "yesterday"), "isn't a time span"),
        (("--csv", "--json"), "choose one"),
    ],
)
def test_mistakes_are_usage_errors(
    mnistkit: Program, two: tuple[str, str], options: tuple[str, ...], message: str
) -> None:
    """A filter that can't be read, or an unknown name, ends with code 2 and says what is right."""
    assert message in " ".join(mnistkit("runs", "list", *options, code=2).err.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--experiment", "other"), "there are sklearn-mnist"),
        (("--data", "mnist"), "No run is on the data 'mnist'; there are runs on digits"),
        (("--where", "accuracy > 1"), "None of 1 runs matches"),
    ],
)
def test_nothing_found_says_what_there_is(
    mnistkit: Program, trained: Trainer, options: tuple[str, ...], message: str
) -> None:
    """An empty list is no error: a note says what there is."""
    outcome = mnistkit("runs", "list", *options)
    assert outcome.out == ""
    assert message in outcome.err
    assert mnistkit("runs", "list", *options, "--json").json == []


def test_a_long_list_shows_the_newest_and_says_so(mnistkit: Program, trained: Trainer) -> None:
    """More than twenty runs are shown with --all; without it a note counts what is left out."""
    (run,) = trained.runs()
    folder = Path(run.record.url)
    for i in range(24):
        shutil.copytree(folder, folder.with_name(f"{run.id}-{i}"))
    short = mnistkit("runs", "list")
    assert len(short.out.splitlines()) == 21
    assert "20 of 25 runs" in short.err
    assert len(mnistkit("runs", "list", "--all").out.splitlines()) == 26
    assert len(mnistkit("runs", "list", "-n", 3).out.splitlines()) == 4


def test_experiments_are_listed_with_their_best(mnistkit: Program, two: tuple[str, str]) -> None:
    """An experiment has its number of runs, states, data, and the best run."""
    header, row = mnistkit("experiments").out.splitlines()
    assert header.split()[:3] == ["experiment", "runs", "states"]
    assert row.startswith("sklearn-mnist  2     1 Failed, 1 Completed")
    (found,) = mnistkit("experiments", "--json").json
    assert (found["best_run"], found["metric"]) == (two[0], "accuracy")
    assert datetime.fromisoformat(found["last_at"]).tzinfo is not None


def test_a_narrow_terminal_shows_fewer_columns(
    mnistkit: Program, trained: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not all columns fit, the least telling ones are left out, and a note says so: no id is cut."""
    from rich.console import Console

    def narrow() -> Console:
        return Console(force_terminal=True, width=90, markup=False, emoji=False, highlight=False, no_color=True)

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(listing.output, "console", narrow)
    outcome = mnistkit("runs", "list")
    (run,) = trained.runs()
    assert run.id in outcome.out
    assert "LogisticRegression(C=2.0)" in outcome.out
    assert "no room for experiment, created" in " ".join(outcome.err.split())
