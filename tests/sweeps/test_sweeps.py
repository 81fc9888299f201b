"""Sweeps: their results, what they try, how they are interrupted and resumed, and successive halving."""

from __future__ import annotations

import _thread
import ast
import csv
import html
import json
import logging
import math
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mnistkit
from mnistkit import Halving, Sweep, Trainer, best_run, get_context
from mnistkit.errors import MissingExtraError, NotFoundError, StorageError, UsageError
from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.record import MetricPoint, RunRecord, RunState, Transition
from mnistkit.runs.run import Run
from mnistkit.sweeps.search import combinations, configured
from mnistkit.sweeps.sweep import Trial
from mnistkit.sweeps.trials import completed_before
from mnistkit.utils.clock import utc_now

NOW = utc_now()
QUICK = {"max_iter": 20}
DEADLINE = 120
FAILED = RunState.FAILED


class Gated(ClassifierMixin, BaseEstimator):  # type: ignore[misc] - scikit-learn has no types
    """A classifier whose fit waits for a file, unless ``gate`` is empty."""

    def __init__(self, gate: str = "", label: int = 0) -> None:
        self.gate = gate
        self.label = label

    def fit(self, X: Any, y: Any) -> Gated:
        self.classes_ = sorted(set(y))
        while self.gate and not Path(self.gate).exists() and not get_context().should_stop:
            time.sleep(0.01)
        return self

    def predict(self, X: Any) -> list[int]:
        return [self.label] * len(X)


@pytest.fixture
def trainer(tiny_mnist: DataSource) -> Trainer:
    """Everything local, on the tiny MNIST, in the test's own home."""
    return Trainer.local(data=tiny_mnist)


def ended(number: int, accuracy: float | None, state: RunState = RunState.COMPLETED, **rest: Any) -> Run:
    """A run that was submitted at second ``number`` and ran for a minute."""
    at = NOW + timedelta(seconds=number)
    record = RunRecord(
        id=f"run-{number}",
        job=TrainingJob(model=ModelSpec("sklearn.linear_model.LogisticRegression")),
        data="digits",
        transitions=(
            Transition(RunState.QUEUED, at),
            Transition(RunState.RUNNING, at),
            Transition(state, at + timedelta(minutes=1)),
        ),
        points=() if accuracy is None else (MetricPoint("accuracy", accuracy, None, at),),
        **rest,
    )
    return Run(InProcessCompute("unused"), record)


def sweep_of(runs: list[Run], **rest: Any) -> Sweep:
    """A sweep that tried C = 0, 1, 2 and so on."""
    return Sweep("s", [Trial(params={"C": number}, run=run, **rest) for number, run in enumerate(runs)])


def test_nan_infinity_failures_and_ties() -> None:
    """Of 0.9, NaN, infinity, a failed 1.0 and another 0.9 the first trial wins, for best_run as well."""
    sweep = sweep_of([ended(0, 0.9), ended(1, math.nan), ended(2, math.inf), ended(3, 1.0, FAILED), ended(4, 0.9)])
    assert sweep.best() is sweep[0]
    assert sweep.best("accuracy", mode="min") is sweep[0]
    assert best_run(sweep, "accuracy") is sweep[0]


def test_ties_go_to_the_earliest_trial_not_to_the_oldest_run() -> None:
    """A run that was taken over from before doesn't win a tie for its age."""
    sweep = sweep_of([ended(9, 0.9), ended(1, 0.9)])
    assert sweep.best() is sweep[0]


def test_no_best_says_why() -> None:
    """Without a completed run the error tells what each is."""
    with pytest.raises(NotFoundError, match="run-0 is Failed with no metrics"):
        sweep_of([ended(0, None, FAILED)]).best()
    with pytest.raises(NotFoundError, match="there are none"):
        Sweep("s", []).best()


def test_a_sweep_is_a_sequence_of_runs() -> None:
    """Length, iteration, indices, slices and membership are those of its runs, in the order of the trials."""
    runs = [ended(0, 0.1), ended(1, 0.2), ended(2, 0.3)]
    sweep = sweep_of(runs)
    assert (len(sweep), [*sweep], sweep[-1], sweep[1:]) == (3, runs, runs[2], (runs[1], runs[2]))
    assert runs[1] in sweep
    assert sweep.params == ({"C": 0}, {"C": 1}, {"C": 2})


def test_the_table_has_a_row_per_run() -> None:
    """A row tells run, state, parameters, metrics, seconds and error; what isn't there is None."""
    first, second = sweep_of([ended(0, 0.5), ended(1, None, FAILED, error="ValueError: no")]).table()
    assert first == {
        "run": "run-0", "state": "Completed", "rung": None, "limit": None, "params": {"C": 0},
        "metrics": {"accuracy": 0.5}, "seconds": 60.0, "error": None, "reused": False,
    }  # fmt: skip
    assert (second["state"], second["metrics"], second["error"]) == ("Failed", {}, "ValueError: no")


def test_csv_has_a_column_per_parameter_and_metric(tmp_path: Path) -> None:
    """Quotes, line ends, NaN and missing values come back from the CSV file as they went in."""
    error = 'ValueError: "a",\nb'
    sweep = sweep_of([ended(0, math.nan), ended(1, None, FAILED, error=error)])
    with sweep.to_csv(tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [row["params.C"] for row in rows] == ["0", "1"]
    assert [row["metrics.accuracy"] for row in rows] == ["nan", ""]
    assert [row["error"] for row in rows] == ["", error]
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]


def test_json_is_strict(tmp_path: Path) -> None:
    """What isn't finite is null, also in a parameter; a parameter that JSON can't say is its repr."""
    params = {"C": math.inf, "steps": [LogisticRegression(C=3)], "kind": "a"}
    sweep = Sweep("s", [Trial(params=params, run=ended(0, math.nan))])
    text = sweep.to_json(tmp_path / "s.json").read_text(encoding="utf-8")
    found = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    [row] = found["runs"]
    assert found["sweep"] == "s"
    assert row["params"] == {"C": None, "steps": ["LogisticRegression(C=3)"], "kind": "a"}
    assert row["metrics"] == {"accuracy": None}


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder that isn't there is a StorageError with the path."""
    with pytest.raises(StorageError, match="nowhere"):
        sweep_of([ended(0, 0.5)]).to_csv(tmp_path / "nowhere" / "s.csv")


def test_to_pandas() -> None:
    """The frame has a row per run and the columns of the CSV file."""
    pytest.importorskip("pandas")
    frame = sweep_of([ended(0, 0.5), ended(1, 0.75)]).to_pandas()
    assert list(frame["metrics.accuracy"]) == [0.5, 0.75]
    assert list(frame["params.C"]) == [0, 1]


def test_without_pandas_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """`to_pandas` without pandas tells the line that installs it."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="python -m pip install pandas"):
        sweep_of([ended(0, 0.5)]).to_pandas()


def test_it_shows_itself() -> None:
    """The repr counts the states and has a row per run that marks the best; what no run has is left out."""
    text = repr(sweep_of([ended(0, 0.5), ended(1, 0.75), ended(2, None, FAILED, error="ValueError:\n" + "x" * 200)]))
    head, columns, _, second, third = text.splitlines()
    assert head == "Sweep('s': 3 runs, 2 Completed, 1 Failed)"
    assert columns.split() == ["run", "state", "C", "accuracy", "seconds", "error"]
    assert second.split() == ["best", "run-1", "Completed", "1", "0.75", "60"]
    assert third.endswith("x...")
    assert repr(Sweep("s", [])) == "Sweep('s': 0 runs)"
    assert repr(sweep_of([ended(i, 0.5) for i in range(25)])).endswith("... and 5 more: .table() has all")


def test_a_notebook_gets_escaped_html() -> None:
    """Text of runs, parameters and the sweep's name can't become markup."""
    evil = "<script>alert(1)</script>"
    trial = Trial(params={evil: evil}, run=ended(0, None, FAILED, error=f"{evil}\x1b[0m"))
    page = Sweep(evil, [trial])._repr_html_()
    assert "<script" not in page
    assert page.count(html.escape(evil)) == 5
    assert "\x1b" not in page
    assert "<table" in page


def test_what_is_drawn_is_scikit_learns_draw() -> None:
    """`n` combinations are drawn as ParameterSampler draws them: the same for a seed, others for another."""
    space = {"C": stats.loguniform(0.01, 10), "fit_intercept": [True, False]}
    drawn = combinations(space, n=5, seed=1)
    assert len(drawn) == 5
    assert drawn == combinations(space, n=5, seed=1) != combinations(space, n=5, seed=2)
    assert all(type(each["C"]) is float and 0.01 <= each["C"] <= 10 for each in drawn)
    assert {type(each["x"]) for each in combinations({"x": stats.randint(0, 9)}, n=3)} == {int}


def test_lists_are_drawn_without_repetition() -> None:
    """From lists alone no combination is drawn twice, and at most all are."""
    drawn = combinations({"C": [1, 2, 3], "tol": [1, 2]}, n=50)
    assert len(drawn) == len({(each["C"], each["tol"]) for each in drawn}) == 6


@pytest.mark.parametrize(
    ("grid", "options", "words"),
    [
        ({"C": stats.uniform()}, {}, "set n="),
        ([{"C": 1}], {"n": 2}, "is run whole"),
        ({"C": [1]}, {"n": 0}, "n=0"),
        ({"C": 1}, {"n": 2}, "draws from"),
        (["C"], {}, "holds 'C'"),
    ],
)
def test_what_cannot_be_tried_is_refused(trainer: Trainer, grid: Any, options: Any, words: str) -> None:
    """A distribution without `n`, a list with it, and wrong shapes are errors before anything runs."""
    with pytest.raises(UsageError, match=words):
        trainer.sweep(LogisticRegression(), grid, **options)
    assert not trainer.runs()


def test_one_bad_combination_submits_none(trainer: Trainer) -> None:
    """All combinations are checked before the first is submitted."""
    with pytest.raises(UsageError, match="CC"):
        trainer.sweep(LogisticRegression(**QUICK), [{"C": 1}, {"CC": 1}])
    with pytest.raises(UsageError, match="tol"):
        trainer.sweep(LogisticRegression(**QUICK), [{"C": 1}, {"tol": object()}])
    assert not trainer.runs()


def test_estimators_as_values_are_copied() -> None:
    """A parameter set within a value that is an estimator changes neither the value nor the next combination."""
    inner = LogisticRegression()
    pipeline = make_pipeline(StandardScaler(), SGDClassifier())
    grid = [{"sgdclassifier": inner, "sgdclassifier__C": 5.0}, {"sgdclassifier": inner}]
    first, second = configured(pipeline, grid)
    assert (first[-1].C, second[-1].C, inner.C) == (5.0, 1.0, 1.0)
    assert isinstance(pipeline[-1], SGDClassifier)


def test_a_sweep_draws_at_random_and_goes_on_after_a_failure(trainer: Trainer) -> None:
    """Random draws are run; a trial that fails is a row with its error; all carry the sweep's name."""
    sweep = trainer.sweep(LogisticRegression(**QUICK), {"C": stats.uniform(-1, 2)}, n=4, seed=3, parallel=2)
    assert [run.state is FAILED for run in sweep] == [each["C"] <= 0 for each in sweep.params]
    assert {run.state for run in sweep} == {RunState.COMPLETED, FAILED}
    assert {row["error"] is None for row in sweep.table()} == {True, False}
    assert {run.record.tags["sweep"] for run in sweep} == {sweep.name}
    assert trainer.sweep(LogisticRegression(**QUICK), [{"C": 1}], tags={"sweep": "mine"}).name == "mine"


@pytest.fixture
def interrupted(trainer: Trainer) -> Iterator[None]:
    """Ctrl-C, once a run has completed and another one is running."""

    def press() -> None:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline and not ended.is_set():
            states = {run.state for run in trainer.runs()}
            if {RunState.COMPLETED, RunState.RUNNING} <= states:
                _thread.interrupt_main()
                return
            time.sleep(0.05)

    ended = threading.Event()
    thread = threading.Thread(target=press)
    thread.start()
    yield
    ended.set()
    thread.join()


def test_an_interrupted_sweep_keeps_what_is_finished_and_resumes(
    trainer: Trainer, interrupted: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ctrl-C cancels what runs and submits no more; resumed, the completed run is taken over and the rest is run."""
    grid = [{"label": 1}, {"gate": str(tmp_path / "gate")}, {"label": 2}]
    with pytest.raises(KeyboardInterrupt), caplog.at_level(logging.WARNING, "mnistkit"):
        trainer.sweep(Gated(), grid, parallel=1)
    canceled, done = trainer.runs()
    assert f"canceled {canceled.id}" in caplog.text
    assert "resume=True" in caplog.text
    assert canceled.wait(DEADLINE).state is RunState.CANCELED
    assert done.state is RunState.COMPLETED

    (tmp_path / "gate").touch()
    sweep = trainer.sweep(Gated(), grid, parallel=1, resume=True)
    assert [run.state for run in sweep] == [RunState.COMPLETED] * 3
    assert [trial.reused for trial in sweep.trials] == [True, False, False]
    assert sweep[0].id == done.id
    assert len(trainer.runs()) == 4
    again = trainer.sweep(Gated(), grid, resume=True)
    assert [run.id for run in again] == [run.id for run in sweep]
    assert again.name == sweep.name == done.record.tags["sweep"]
    assert "reused" in repr(again)


def test_what_the_same_job_is(trainer: Trainer, tiny_mnist: DataSource) -> None:
    """Tags, timeouts and retries make no other job; parameters, seed, limit, format, experiment and data do."""
    run = trainer.train(LogisticRegression(C=2, **QUICK), limit=50)
    model = LogisticRegression(C=2, **QUICK)
    same = trainer.job(model, limit=50, tags={"a": "b"}, timeout=60, retries=1)
    others = [
        trainer.job(LogisticRegression(C=3, **QUICK), limit=50),
        trainer.job(model, limit=50, seed=1),
        trainer.job(model, limit=51),
        trainer.job(model, limit=50, model_format="joblib"),
        Trainer.local(data=tiny_mnist, experiment="other").job(model, limit=50),
    ]
    found = completed_before([same, *others], trainer.compute, tiny_mnist.uri)
    assert [each and each.id for each in found] == [run.id, None, None, None, None, None]
    assert completed_before([same], trainer.compute, "digits") == [None]


def test_failed_runs_are_run_again(trainer: Trainer) -> None:
    """Only completed runs are taken over; without resume none is; the newest of several is taken."""
    grid = [{"C": -1}, {"C": 1}]
    first, second, third = (trainer.sweep(LogisticRegression(**QUICK), grid, resume=i > 1) for i in range(3))
    assert len({run.id for run in [*first, *second, *third]}) == 5
    assert third[1].id == second[1].id
    assert third[0].state is FAILED


class Interrupting(InProcessCompute):
    """A backend at whose third job somebody presses Ctrl-C."""

    def submit(self, *arguments: Any, **options: Any) -> RunRecord:
        if len(self.runs()) == 2:
            raise KeyboardInterrupt
        return super().submit(*arguments, **options)


def test_interrupted_submitting_cancels_what_was_submitted(trainer: Trainer, tmp_path: Path) -> None:
    """Ctrl-C while jobs are being submitted cancels those that were."""
    trainer.compute = Interrupting(tmp_path)
    job = trainer.job(Gated(str(tmp_path / "never")))
    with pytest.raises(KeyboardInterrupt):
        trainer.submit_all([job, job, job])
    assert [run.wait(DEADLINE).state for run in trainer.runs()] == [RunState.CANCELED] * 2


@pytest.mark.parametrize(
    ("n", "full", "factor", "limits"),
    [
        (9, 60_000, 3, [1000, 3000, 60_000]),
        (8, 60_000, 3, [1000, 60_000]),
        (2, 60_000, 3, [60_000]),
        (27, 2500, 3, [1000, 2500]),
        (27, 3000, 3, [1000, 3000]),
        (16, 60_000, 2, [1000, 2000, 4000, 8000, 60_000]),
    ],
)
def test_the_ladder_of_halving(n: int, full: int, factor: int, limits: list[int]) -> None:
    """1 + floor(log_factor(n)) rungs at most, each factor times the one below, the last on everything."""
    assert Halving(factor=factor).limits(n, full) == limits


def test_who_goes_on() -> None:
    """The best ceil(n / factor) go on, in order; ties to the earlier; what failed or isn't finite never does."""
    runs = [ended(i, a) for i, a in enumerate([0.5, 0.9, math.nan, 0.9, math.inf, 0.9])]
    runs.append(ended(6, 1.0, FAILED))
    assert Halving(factor=3).survivors(runs) == [1, 3, 5]
    assert Halving(factor=4).survivors(runs) == [1, 3]
    assert Halving(factor=4, mode="min").survivors(runs) == [0, 1]
    assert Halving(factor=2, metric="log loss").survivors(runs) == []


@pytest.mark.parametrize(
    ("options", "words"), [({"factor": 1}, "factor=1"), ({"min_limit": 0}, "min_limit=0"), ({"mode": "best"}, "'best'")]
)
def test_a_halving_that_cannot_be(options: dict[str, Any], words: str) -> None:
    """A factor below 2, no images and a wrong mode are refused."""
    with pytest.raises(UsageError, match=words):
        Halving(**options)


def test_a_halved_sweep(trainer: Trainer) -> None:
    """Each rung has the best third of the one below, on three times the images, the last on all; the best is there."""
    cs = [10.0**-k for k in range(8)] + [-1.0]
    halving = Halving(min_limit=30)
    sweep = trainer.sweep(LogisticRegression(**QUICK), {"C": cs}, halving=halving)
    rungs = [[row for row in sweep.table() if row["rung"] == k] for k in range(3)]
    assert [[row["limit"] for row in rung] for rung in rungs] == [[30] * 9, [90] * 3, [None]]
    for below, above in pairwise(rungs):
        order = sorted(below, key=lambda row: -row["metrics"].get("accuracy", -1))
        chosen = {row["params"]["C"] for row in order[: len(above)]}
        assert {row["params"]["C"] for row in above} == chosen
    assert rungs[0][-1]["state"] == "Failed"
    assert sweep.best() is sweep[-1]
    before = len(trainer.runs())
    resumed = trainer.sweep(LogisticRegression(**QUICK), {"C": cs}, halving=halving, resume=True)
    assert len(trainer.runs()) == before + 1, "the failed one alone"
    assert resumed.name == sweep.name


def test_halving_ends_when_nothing_is_left(trainer: Trainer) -> None:
    """When all runs of a rung fail there is no next one."""
    sweep = trainer.sweep(LogisticRegression(**QUICK), {"C": [-1, -2, -3]}, halving=Halving(min_limit=30))
    assert [run.state for run in sweep] == [FAILED] * 3
    with pytest.raises(UsageError, match="last rung has 300"):
        trainer.sweep(LogisticRegression(**QUICK), {"C": [1, 2, 3]}, halving=Halving())
    with pytest.raises(UsageError, match="last rung has 20"):
        trainer.sweep(LogisticRegression(**QUICK), {"C": [1, 2, 3]}, halving=Halving(min_limit=20), limit=20)


def test_optional_libraries_are_imported_in_one_place() -> None:
    """Optuna is imported by one module, pandas by those that make tables, and neither before it is needed."""
    importers: dict[str, set[str]] = {"optuna": set(), "pandas": set()}
    for path in Path(mnistkit.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if (top := name.partition(".")[0]) in importers:
                    importers[top].add(path.stem)
                    assert node not in tree.body, f"{path}: {name} is imported at once"
    assert importers == {
        "optuna": {"optimization"},
        "pandas": {"mlflow_batch_scoring", "mlflow_scoring", "predictions", "sweep", "table"},
    }
