"""Runs in MLflow: mirrored while they run and afterwards, never doubled, and read back."""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mnistkit import Trainer
from mnistkit.cli.app import app
from mnistkit.errors import MissingExtraError, UsageError
from mnistkit.estimators import FastLogisticRegression
from mnistkit.interfaces import ComputeBackend
from mnistkit.jobs import ModelSpec, ScriptJob, TrainingJob
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.local.threads import InProcessCompute
from mnistkit.mlflow import MlflowRegistry, MlflowRuns, import_runs, mirror_runs
from mnistkit.mlflow._sdk import client
from mnistkit.mlflow.address import Address
from mnistkit.mlflow.runs import RunMirror
from mnistkit.runs.observers import ObservedCompute
from mnistkit.runs.record import Attempt, MetricPoint, RunRecord, RunState, Transition
from mnistkit.runs.run import Run
from mnistkit.testing import ComputeBackendSuite

DEADLINE = 60.0
BEGIN = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)

RETRIED = """
import os, sys
import mlflow
from mnistkit.runs import get_context

tries = len(os.listdir(sys.argv[1]))
open(os.path.join(sys.argv[1], str(tries)), "w").close()
get_context().log("own", tries)
mlflow.log_metric("theirs", tries)
sys.exit(tries < 1)
"""

SCRIPT = """
import mlflow
from mnistkit.runs import get_context

mlflow.log_param("lr", 0.1)
for step in range(3):
    mlflow.log_metric("loss", 1 / (step + 1), step=step)
get_context().log("accuracy", 0.75)
"""


def runs_in(uri: str, experiment: str | None = None) -> list[Any]:
    """All runs, or those of an experiment, that MLflow's plain client finds, oldest first."""
    plain = client(Address.parse(uri))
    experiments = [each.experiment_id for each in plain.search_experiments() if experiment in {None, each.name}]
    return list(plain.search_runs(experiments, order_by=["attributes.start_time ASC"]))


def history(uri: str, run: Any, key: str) -> list[tuple[int, float]]:
    """Steps and values of a metric in MLflow."""
    return [(m.step, m.value) for m in client(Address.parse(uri)).get_metric_history(run.info.run_id, key)]


@pytest.fixture
def observer(sqlite_uri: str) -> MlflowRuns:
    """An observer that mirrors to a file."""
    return MlflowRuns(sqlite_uri)


@pytest.fixture
def trainer(observer: MlflowRuns, tmp_path: Path) -> Trainer:
    """A trainer whose runs are mirrored."""
    compute = InProcessCompute(tmp_path / "home")
    models = MlflowRegistry(observer._address.uri)
    return Trainer(data="digits", compute=compute, models=models, observers=[observer])


@pytest.mark.slow
class TestObservedProcesses(ComputeBackendSuite):
    """`ProcessCompute` keeps its contract while `MlflowRuns` mirrors its runs."""

    detaches = True

    @pytest.fixture
    def backend(self, tmp_path: Path, sqlite_uri: str) -> Iterator[ObservedCompute]:
        """A backend without runs."""
        observer = MlflowRuns(sqlite_uri)
        yield ObservedCompute(ProcessCompute(tmp_path / "home", parallel=2), [observer])
        assert not observer._has_warned

    def reopened(self, backend: ComputeBackend) -> ComputeBackend:
        """Another one of the same folder."""
        assert isinstance(backend, ObservedCompute)
        return ProcessCompute(backend.backend._root.parent)

    def damage(self, backend: ComputeBackend, run: Run) -> None:
        """Cut the record off."""
        (Path(run.record.url) / "record.json").write_bytes(b'{"data": ')


def test_a_run_in_mlflow(trainer: Trainer, observer: MlflowRuns) -> None:
    """A training run has all parameters, metrics with steps, its files, its data's digest, times and origin."""
    run = trainer.train(FastLogisticRegression(C=0.5), limit=200, tags={"owner": "me"})
    assert observer.wait(DEADLINE)
    uri = observer._address.uri
    [found] = runs_in(uri)
    assert (found.info.status, found.info.run_name) == ("FINISHED", run.id)
    assert found.data.metrics == run.metrics
    assert {"C": "0.5", "max_iter": "100", "seed": "42", "limit": "200"}.items() <= found.data.params.items()
    assert {"owner": "me", "mnistkit.run": run.id}.items() <= found.data.tags.items()
    finished = run.record.finished_at
    assert finished is not None
    assert found.info.end_time == int(finished.timestamp() * 1000)
    [data] = found.inputs.dataset_inputs
    fingerprint = run.record.job.fingerprint
    assert fingerprint is not None
    assert fingerprint.digests["data"].startswith(data.dataset.digest)
    files = {each.path for each in client(observer._address).list_artifacts(found.info.run_id, "outputs")}
    assert files == {file for file in run.files if file.startswith("outputs/")}
    version = trainer.register(run, "digits")
    assert client(observer._address).get_model_version("digits", str(version.version)).run_id == found.info.run_id


def test_a_script_with_plain_mlflow(trainer: Trainer, observer: MlflowRuns, tmp_path: Path) -> None:
    """Plain ``mlflow`` in a script logs to the run's own MLflow run, and its metrics are in the run's, once."""
    (tmp_path / "train.py").write_text(SCRIPT)
    run = trainer.submit(ScriptJob(str(tmp_path), "train.py")).wait()
    run.raise_for_state()
    assert run.metrics == {"accuracy": 0.75, "loss": 1 / 3}
    assert [(p.step, p.value) for p in run.series("loss")] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert observer.wait(DEADLINE)
    uri = observer._address.uri
    [found] = runs_in(uri)
    assert (found.info.status, found.info.run_name, found.data.params["lr"]) == ("FINISHED", run.id, "0.1")
    assert found.data.metrics == run.metrics
    assert history(uri, found, "loss") == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    mirror_runs(trainer.compute, uri)
    assert trainer.run(run.id).record.points == run.record.points


def test_a_script_that_is_repeated(trainer: Trainer, observer: MlflowRuns, tmp_path: Path) -> None:
    """What an earlier attempt of a script logged, with plain ``mlflow`` or without, isn't the run's."""
    (tmp_path / "train.py").write_text(RETRIED)
    (tmp_path / "tries").mkdir()
    job = ScriptJob(str(tmp_path), "train.py", (tmp_path / "tries",), retries=2)
    run = trainer.submit(job).wait()
    assert run.state is RunState.COMPLETED
    assert [(p.name, p.value) for p in run.record.points] == [("own", 1.0), ("theirs", 1.0)]
    assert observer.wait(DEADLINE)


def test_a_fit_of_the_program_itself(trainer: Trainer, observer: MlflowRuns) -> None:
    """A fit that the program carries out itself is in MLflow as other runs are."""
    with trainer.start_run("by hand") as run:
        run.log("loss", 0.5, step=3)
    assert observer.wait(DEADLINE)
    [found] = runs_in(observer._address.uri)
    assert (found.info.status, found.info.run_name, found.data.params["name"]) == ("FINISHED", run.id, "by hand")
    assert history(observer._address.uri, found, "loss") == [(3, 0.5)]


def test_runs_of_a_sweep_have_a_parent(trainer: Trainer, observer: MlflowRuns) -> None:
    """The runs of a sweep are children of one run of MLflow's."""
    sweep = trainer.sweep(FastLogisticRegression(max_iter=5), {"C": [0.1, 1.0]}, limit=100)
    assert observer.wait(DEADLINE)
    found = runs_in(observer._address.uri)
    [parent] = [run for run in found if "mnistkit.sweep" in run.data.tags]
    children = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert {run.data.tags["mnistkit.run"] for run in children} == {trial.run.id for trial in sweep.trials}
    assert len(found) == 3


class Files:
    """A backend that has the files of one run."""

    def download(self, run_id: str, file: str, into: Path) -> Path:
        """Write a file."""
        into.mkdir(parents=True, exist_ok=True)
        path = into / file.rpartition("/")[2]
        path.write_text(run_id)
        return path


def record(*states: RunState, attempts: int = 0, points: int = 0, **more: Any) -> RunRecord:
    """A record of a training run."""
    job = TrainingJob(model=ModelSpec("sklearn.linear_model.LogisticRegression", {"C": 2.0}))
    times = [BEGIN + timedelta(seconds=number) for number in range(len(states))]
    ended = tuple(
        Attempt(started_at=BEGIN, ended_at=BEGIN + timedelta(seconds=1), cause="error", error="it broke")
        for _ in range(attempts)
    )
    return RunRecord(
        id="20260131-120000-abc123",
        job=job,
        data="digits",
        transitions=tuple(map(Transition, states, times)),
        points=tuple(MetricPoint("loss", 1.0 / (step + 1), step, BEGIN) for step in range(points)),
        attempts=ended,
        **more,
    )


def test_a_retry_is_a_run_of_its_own(sqlite_uri: str) -> None:
    """Each attempt is a run of MLflow's: the one that failed keeps its metrics, and its error."""
    mirror, backend = RunMirror(Address.parse(sqlite_uri)), Files()
    s = RunState
    mirror.write(backend, record(s.QUEUED))
    mirror.write(backend, record(s.QUEUED, s.RUNNING, points=2))
    mirror.write(backend, record(s.QUEUED, s.RUNNING, s.QUEUED, attempts=1))
    mirror.write(backend, record(s.QUEUED, s.RUNNING, s.QUEUED, s.RUNNING, attempts=1, points=1))
    end = record(s.QUEUED, s.RUNNING, s.QUEUED, s.RUNNING, s.COMPLETED, attempts=2, points=3, files=("outputs/a.txt",))
    mirror.write(backend, end)
    RunMirror(Address.parse(sqlite_uri)).write(backend, end)  # as of a later process
    first, second = sorted(runs_in(sqlite_uri), key=lambda run: run.data.tags["mnistkit.attempt"])
    assert (first.info.status, first.data.tags["mnistkit.error"]) == ("FAILED", "it broke")
    assert history(sqlite_uri, first, "loss") == [(0, 1.0), (1, 0.5)]
    assert second.info.status == "FINISHED"
    assert history(sqlite_uri, second, "loss") == [(0, 1.0), (1, 0.5), (2, 1 / 3)]


def test_states_in_mlflow(sqlite_uri: str) -> None:
    """A queued run is scheduled, a running one is running, and a failed or canceled one says so, with its error."""
    mirror, backend, s = RunMirror(Address.parse(sqlite_uri)), Files(), RunState
    found = []
    for states in ([s.QUEUED], [s.QUEUED, s.RUNNING], [s.QUEUED, s.RUNNING, s.FAILED]):
        mirror.write(backend, record(*states, error="it broke" if s.FAILED in states else None))
        found.append(runs_in(sqlite_uri)[0].info.status)
    assert found == ["SCHEDULED", "RUNNING", "FAILED"]
    assert runs_in(sqlite_uri)[0].data.tags["mnistkit.error"] == "it broke"


def test_odd_values(sqlite_uri: str) -> None:
    """NaN, infinity, odd names and long texts are mirrored as far as MLflow takes them; twice is as once."""
    values = {"nan": float("nan"), "inf": float("inf"), "a/../b": 1.0, "..": 2.0, "é?": 3.0, "x" * 900: 4.0}
    points = tuple(MetricPoint(name, value, None, BEGIN) for name, value in values.items())
    tags = {"": "empty", "a b?": "x" * 20_000, "none": ""}
    full = record(RunState.QUEUED, RunState.COMPLETED, tags=tags)
    full = RunRecord(
        **{**{key: getattr(full, key) for key in full.__slots__ if key != "__weakref__"}, "points": points}
    )
    for _ in range(2):
        RunMirror(Address.parse(sqlite_uri)).write(Files(), full)
    [run] = runs_in(sqlite_uri)
    assert len(run.data.metrics) == len(values)
    assert {1.0, 2.0, 3.0, 4.0} <= set(run.data.metrics.values())


def test_runs_come_back(trainer: Trainer, observer: MlflowRuns, tmp_path: Path) -> None:
    """Runs are imported with job, metrics, files and state, once; those of plain MLflow as scripts."""
    run = trainer.train(FastLogisticRegression(C=0.5), limit=100)
    assert observer.wait(DEADLINE)
    plain = client(observer._address)
    theirs = plain.create_run(plain.create_experiment("their work!", (tmp_path / "theirs").as_uri()), run_name="x")
    plain.log_param(theirs.info.run_id, "lr", "0.1")
    plain.log_metric(theirs.info.run_id, "accuracy", 0.5, step=7)
    plain.log_text(theirs.info.run_id, "hello", "notes/a.txt")
    running = plain.create_run("0")
    plain.set_terminated(theirs.info.run_id)
    uri, home = observer._address.uri, tmp_path / "other"
    found = import_runs(uri, home)
    assert set(found.imported) == {run.id, f"mlflow-{theirs.info.run_id}"}
    assert (found.known, found.unfinished) == (0, 1)
    assert import_runs(uri, home).imported == ()
    there = {each.id: each for each in ProcessCompute(home).runs()}
    mine, other = there[run.id], there[f"mlflow-{theirs.info.run_id}"]
    assert (mine.job, mine.metrics, mine.files) == (run.record.job, run.metrics, run.files)
    assert isinstance(other.job, ScriptJob)
    assert other.job.arguments == ("--lr=0.1",)
    assert (other.experiment, other.metrics, other.files) == ("their-work", {"accuracy": 0.5}, ("outputs/notes/a.txt",))
    local = Trainer.local("digits", home=home)
    assert local.report(local.run(run.id), tmp_path / "report.html").exists()
    plain.delete_run(running.info.run_id)


def test_track_and_the_command_line(
    sqlite_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Path
) -> None:
    """``track`` in the configuration file mirrors runs; the command line mirrors old ones, and imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MNISTKIT_COMPUTE", "in-process")
    (tmp_path / "mnistkit.toml").write_text('data = "digits"\nhome = "home"\n')
    old = Trainer.from_config().train(FastLogisticRegression(), limit=50)
    assert runs_in(sqlite_uri) == []
    (tmp_path / "mnistkit.toml").write_text(
        f'data = "digits"\nhome = "home"\ntrack = "{sqlite_uri}"\n'
        f'models = {{ backend = "mlflow", uri = "{sqlite_uri}" }}\n'
    )
    trainer = Trainer.from_config()
    new = trainer.train(FastLogisticRegression(), limit=60)
    trainer.register(new, "digits")
    deadline = time.monotonic() + DEADLINE
    while [run.info.status for run in runs_in(sqlite_uri) if run.info.run_name == new.id] != ["FINISHED"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    result = CliRunner().invoke(app, ["runs", "mirror", "--json"])
    assert set(json.loads(result.stdout)) == {old.id, new.id}
    assert len([run for run in runs_in(sqlite_uri) if "mnistkit.run" in run.data.tags]) == 2
    monkeypatch.setenv("MNISTKIT_HOME", str(tmp_path / "other"))
    result = CliRunner().invoke(app, ["runs", "import", sqlite_uri])
    assert set(result.stdout.split()) == {old.id, new.id}
    result = CliRunner().invoke(app, ["runs", "import", "ftp://x"])
    assert result.exit_code == 2


def test_a_password_is_shown_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The password of an address is in no repr, no warning, and no file of a run."""
    observer = MlflowRuns("http://me:hunter2hunter2@127.0.0.1:1")
    trainer = Trainer(
        data="digits",
        compute=InProcessCompute(tmp_path / "home"),
        models=MlflowRegistry("sqlite:///x.db"),
        observers=[observer],
    )
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "train.py").write_text("")
    with caplog.at_level(logging.DEBUG, "mnistkit"):
        trainer.submit(ScriptJob(str(tmp_path / "s"), "train.py")).wait().raise_for_state()
        assert observer.wait(1) is False
    kept = [path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert "hunter2" not in repr(observer) + caplog.text + repr(kept)
    assert "aren't mirrored" in caplog.text
    observer._unfinished.clear()


PROGRAM = """
import sys
from mnistkit import Trainer
from mnistkit.estimators import FastLogisticRegression
from mnistkit.local import InProcessCompute
from mnistkit.mlflow import MlflowRegistry, MlflowRuns

uri, home = sys.argv[1:]
trainer = Trainer(
    data="digits", compute=InProcessCompute(home), models=MlflowRegistry(uri), observers=[MlflowRuns(uri)]
)
job = trainer.job(FastLogisticRegression(), limit=50)
print(trainer.submit(job).id)
"""


def test_a_program_that_ends_at_once(sqlite_uri: str, tmp_path: Path) -> None:
    """A program that submits a run and ends waits until it has finished, and MLflow has all of it."""
    command = [sys.executable, "-c", PROGRAM, sqlite_uri, str(tmp_path / "home")]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert outcome.returncode == 0, outcome.stderr
    [run] = runs_in(sqlite_uri)
    assert (run.info.run_name, run.info.status) == (outcome.stdout.strip(), "FINISHED")
    assert run.data.tags["mnistkit.complete"] == "true"


def test_observers_travel(observer: MlflowRuns) -> None:
    """An observer can be pickled, as runs with their backend are."""
    assert repr(pickle.loads(pickle.dumps(observer))) == repr(observer)  # noqa: S301 - made here


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another scheme is a usage error; so is a file to import from that isn't there. The extra is named."""
    with pytest.raises(UsageError, match="sqlite:///FILE"):
        MlflowRuns("databricks")
    with pytest.raises(UsageError, match="There is no"):
        import_runs(f"sqlite:///{tmp_path / 'none.db'}", tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"mnistkit\[mlflow\]"):
        MlflowRuns("http://127.0.0.1:1")
