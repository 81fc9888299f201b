"""Tables of runs: sequences that tell runs apart."""

from __future__ import annotations

import csv
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mnistkit.errors import NotFoundError, RunNotFoundError, StorageError, UnknownNameError, UsageError
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.jobs.parameters import job_parameters
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.cells import model_texts, run_cells
from mnistkit.runs.columns import Columns
from mnistkit.runs.experiments import summarize_experiments
from mnistkit.runs.query import RunQuery
from mnistkit.runs.row import RunRow
from mnistkit.runs.table import RunTable
from mnistkit.trainer.trainer import Trainer
from mnistkit.utils.text import number
from support.pages import HOSTILE, Page
from support.stub_backend import Paper

C_VALUES = (0.01, 1.0, 0.1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of one experiment, and one of another that failed."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTKIT_CACHE", str(folder / "cache"))
        patch.setenv("MNISTKIT_COMPUTE", "in-process")
        trainer = Trainer.local(data="digits", experiment="demo", home=folder)
        for C in C_VALUES:
            trainer.train(LogisticRegression(C=C, tol=0.1), limit=200, tags={"fold": str(C)}).note("it's\nodd")
        other = Trainer.local(data="digits", experiment="other", home=folder)
        other.submit(other.job(LogisticRegression(C=-1.0))).wait()
    return folder


@pytest.fixture
def trainer(home: Path) -> Trainer:
    """Of the experiment with three runs."""
    return Trainer.local(data="digits", experiment="demo", home=home)


def test_runs_are_a_sequence(trainer: Trainer) -> None:
    """Newest first, each a run with its record; a slice is a table; there are those of the experiment alone."""
    runs = trainer.runs()
    assert [row.param("C") for row in runs.rows] == [0.1, 1.0, 0.01]
    assert [run.id for run in runs] == [row.id for row in runs.rows]
    assert runs[0] is runs[0]
    assert [run.id for run in runs[:2]] == [runs[0].id, runs[1].id]
    assert isinstance(runs[1:], RunTable)
    assert len(trainer.runs(all_experiments=True)) == 4
    assert runs[0].metrics == dict(runs.rows[0].metrics)


def test_runs_are_filtered_and_sorted(trainer: Trainer) -> None:
    """The filter, the order and the other choices compose."""
    assert [row.param("C") for row in trainer.runs("params.C < 1", sort="C").rows] == [0.01, 0.1]
    assert [row.param("C") for row in trainer.runs("C >= 1 and solver == 'lbfgs'", limit=1).rows] == [1.0]
    assert len(trainer.runs(data="mnist")) == 0
    assert len(trainer.runs(since=timedelta(hours=1))) == 3
    table = trainer.runs(all_experiments=True)
    assert [row.experiment for row in RunQuery(states=["failed"]).apply(table).rows] == ["other"]
    with pytest.raises(UnknownNameError, match="There is no state 'bad'"):
        RunQuery(states=["bad"])
    with pytest.raises(UnknownNameError, match=r"params\.C, params\.tol"):
        trainer.runs("c < 1")


def test_without_runs_any_name_may_be_right(tmp_path: Path) -> None:
    """In an empty home a filter finds nothing, but one that can't be read is still refused."""
    trainer = Trainer.local(data="digits", home=tmp_path)
    assert not trainer.runs("anything > 1", sort="anything")
    with pytest.raises(UsageError):
        trainer.runs("anything >")


def test_a_default_is_a_value(trainer: Trainer) -> None:
    """A run whose C is the default, which its job leaves out, is found, sorted and shown by it all the same."""
    (run,) = trainer.runs("params.C == 1")
    assert "C" not in run.record.job.model.params  # type: ignore[union-attr]
    assert "C=1.0" in repr(trainer.runs())
    assert [row["params.C"] for row in trainer.runs(sort="C").table()] == [0.01, 0.1, 1.0]


def test_the_best(trainer: Trainer) -> None:
    """The best has the highest or lowest value; without one, the error lists what there is."""
    runs = trainer.runs()
    values = {run.metrics["accuracy"]: run.id for run in runs}
    assert runs.best().id == values[max(values)]
    assert runs.best(mode="min").id == values[min(values)]
    with pytest.raises(NotFoundError, match="accuracy"):
        runs.best("nothing")
    with pytest.raises(UsageError):
        runs.best(mode="most")  # type: ignore[arg-type]


def test_a_run_that_was_deleted_meanwhile(tmp_path: Path) -> None:
    """A table is as of its making: a run that is gone when it is taken out is an error of its own."""
    trainer = Trainer.local(data="digits", home=tmp_path)
    run = trainer.train(LogisticRegression(tol=0.1), limit=200)
    runs = trainer.runs()
    trainer.compute.delete_run(run.id)  # type: ignore[attr-defined]
    with pytest.raises(RunNotFoundError):
        runs[0]


def test_what_tells_runs_apart_is_shown(trainer: Trainer) -> None:
    """The text has state, accuracy, data, and the one parameter that differs; what they share is left out."""
    text = repr(trainer.runs())
    assert text.splitlines()[0] == "RunTable(3 runs, 3 Completed)"
    for C in C_VALUES:
        assert f"LogisticRegression(C={C})" in text
    assert "tol=" not in text
    assert "fold=0.01" in text
    assert "it's odd" in text
    assert "LogisticRegression(C=-1.0, tol=0.0001)" in repr(trainer.runs(all_experiments=True))


def test_a_backend_without_rows_has_tables(trainer: Trainer) -> None:
    """A backend that has records alone is listed by these."""

    class Records(Paper):
        def runs(self, experiment: str | None = None) -> Any:
            return trainer.compute.runs(experiment)

    table = RunTable.of(Records(), "demo")
    assert table.rows == trainer.runs().rows
    assert [run.id for run in table] == [run.id for run in trainer.runs()]


def test_exports_have_all_figures(trainer: Trainer, tmp_path: Path) -> None:
    """CSV, dicts and pandas have each run's parameters, metrics and tags under the names that filters take."""
    runs = trainer.runs(sort="C")
    (first, *_) = runs.table()
    assert (first["run"], first["params.C"], first["note"]) == (runs[0].id, 0.01, "it's\nodd")
    with runs.to_csv(tmp_path / "runs.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["metrics.accuracy"]) for row in rows] == [run.metrics["accuracy"] for run in runs]
    with pytest.raises(StorageError):
        runs.to_csv(tmp_path / "missing" / "runs.csv")
    frame = pytest.importorskip("pandas") and runs.to_pandas()
    assert list(frame["params.C"]) == [0.01, 0.1, 1.0]


def test_experiments_are_counted(trainer: Trainer) -> None:
    """Each experiment has its number of runs, states, data and best run; the one with the newest run comes first."""
    other, demo = summarize_experiments(trainer.runs(all_experiments=True).rows)
    best = trainer.runs().best()
    assert (demo.name, demo.runs, demo.best_run, demo.best) == ("demo", 3, best.id, best.metrics["accuracy"])
    assert (other.name, other.states, other.best, other.data) == ("other", {"Failed": 1}, None, ("digits",))


def row(**values: Any) -> RunRow:
    """A row of a completed run."""
    return RunRow(**{"id": "a", "experiment": "e", "state": "Completed", "created_at": 1.8e9, **values})


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text(text: str) -> None:
    """Markup in names, tags, notes, data and parameters is text in the notebook's view and in the terminal's."""
    values = {"experiment": text, "data": text, "model": text, "error": text, "note": text}
    groups = {"params": {text: text}, "metrics": {text: 1.0}, "tags": {text: text}}
    rows = [row(**values, **groups), row(id="b", params={text: "other"})]
    table = RunTable(Paper(), rows)
    page = Page(table._repr_html_())
    page.check()
    assert "\x1b" not in repr(table)
    assert "\u202e" not in repr(table)
    assert len(repr(table).splitlines()) == 4


def test_sparse_values_are_told_apart() -> None:
    """Different estimators keep their own parameters; seeds and limits count if they differ; equal runs show all."""
    texts = model_texts([
        row(model="A", params={"C": 1.0, "x": 1}, seed=1),
        row(model="A", params={"C": 2.0, "x": 1}, seed=2, limit=100),
        row(model="B", params={"depth": None}, seed=1),
    ])  # fmt: skip
    assert texts == ["A(C=1.0, seed=1)", "A(C=2.0, seed=2, limit=100)", "B(depth=None)"]


def test_chosen_columns_come_in_order() -> None:
    """Columns may be named by hand, and the run always comes first."""
    rows = [row(metrics={"f1": 0.123456}, params={"C": 0.5})]
    table = run_cells(rows, Columns(rows), ["f1", "C", "duration"])
    assert table.headings == ("run", "f1", "C", "duration")
    assert table.rows == (("a", number(0.123456), "0.5", "-"),)
    with pytest.raises(UnknownNameError):
        run_cells(rows, Columns(rows), ["f2"])


def test_parameters_of_pipelines_have_the_names_of_set_params() -> None:
    """A step is its class's name, and its parameters are step__name, as deep as they go."""
    pipeline = make_pipeline(StandardScaler(with_std=False), LogisticRegression(C=2.0, class_weight="balanced"))
    job = TrainingJob(model=ModelSpec.from_estimator(pipeline))
    assert job_parameters(job) == {
        "standardscaler": "StandardScaler",
        "standardscaler__with_std": False,
        "logisticregression": "LogisticRegression",
        "logisticregression__C": 2.0,
        "logisticregression__class_weight": "balanced",
    }


def test_parameters_of_scripts_are_their_options() -> None:
    """Options lose their hyphens, numbers are numbers, a bare option is true, and secrets are masked."""
    arguments = (
        "--regularization",
        "0.5",
        "-n=3",
        "--fast",
        "--token",
        "CANARY",
        "--shift",
        "-2",
        "a.csv",
        "--last",
    )
    found = job_parameters(ScriptJob("folder", "train.py", arguments))
    assert found == {
        "regularization": 0.5, "n": 3, "fast": True, "token": "***", "shift": -2, "argument 9": "a.csv", "last": True,
    }  # fmt: skip
