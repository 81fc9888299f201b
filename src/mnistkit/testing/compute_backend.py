"""The contract of `ComputeBackend`, as tests to subclass."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mnistkit.errors import InvalidNameError, NotFoundError, RunNotFoundError, SpecError, UsageError
from mnistkit.interfaces import ComputeBackend, DataSource
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.run import Run
from mnistkit.testing.compute_annotations import AnnotationSuite
from mnistkit.testing.compute_base import HeldData
from mnistkit.testing.compute_listing import ListingSuite
from mnistkit.testing.compute_losses import LossSuite
from mnistkit.testing.compute_scripts import ScriptSuite
from mnistkit.testing.compute_tracking import TrackingSuite

__all__ = ["ComputeBackendSuite"]

_LOGISTIC = ModelSpec("sklearn.linear_model.LogisticRegression", {"tol": 0.01, "max_iter": 1000})
_UNKNOWN = "20000101-000000-ffffff"


class ComputeBackendSuite(ScriptSuite, AnnotationSuite, TrackingSuite, ListingSuite, LossSuite):
    """Subclass it with a fixture ``backend`` that returns a backend without runs.

    ::

        class TestMyBackend(ComputeBackendSuite):
            @pytest.fixture
            def backend(self, tmp_path):
                return MyBackend(tmp_path)

    Override `reopened`, `damage`, `lose` and `elsewhere` if you can: their tests are skipped without them.

    Attributes:
        deadline: Seconds within which any of these small runs must end.
        runs_scripts: Whether the backend takes a `ScriptJob`; its tests are skipped if not.
        ends_leftovers: Whether jobs run on this machine, where what they leave behind must be ended.
        detaches: Whether runs may outlive the process that submits them; ``detach=True`` must be refused if not.
    """

    interface = "ComputeBackend"

    def test_is_a_compute_backend(self, backend: ComputeBackend) -> None:
        """A backend is a `ComputeBackend`."""
        assert isinstance(backend, ComputeBackend)

    def test_a_training_job_completes(self, backend: ComputeBackend, source: DataSource) -> None:
        """A training job ends as Completed, with its accuracy, its evaluation and its model."""
        run = self.finished(backend, TrainingJob(model=_LOGISTIC, experiment="contract"), source)
        assert run.state is RunState.COMPLETED, run.error
        assert 0.5 < run.metrics["accuracy"] <= 1
        assert run.metrics["regularization rate"] == 1
        assert {"outputs/model.skops", "outputs/evaluation.json"} <= set(run.files)
        assert run.error is None

    def test_submit_returns_a_whole_record(self, backend: ComputeBackend, source: DataSource) -> None:
        """`submit` returns the record of the new run: its id, job, data and first state."""
        job = TrainingJob(model=_LOGISTIC, experiment="contract", tags={"a": "b"})
        record = backend.submit(job, source)
        assert isinstance(record, RunRecord)
        assert record.job == job
        assert record.data == source.uri
        assert record.tags["a"] == "b"
        assert Run(backend, record).wait(self.deadline).id == record.id

    def test_submit_returns_at_once(self, backend: ComputeBackend, source: DataSource, tmp_path: Path) -> None:
        """`submit` returns before the run has ended, even before its data is there; until then the log is empty."""
        held = HeldData(source, tmp_path / "gate", min(self.deadline, 5))
        run = Run(backend, backend.submit(TrainingJob(model=_LOGISTIC), held))
        assert not run.state.is_terminal, run.error
        assert run.logs() == ""
        held.gate.touch()
        assert run.wait(self.deadline).state is RunState.COMPLETED, run.error

    def test_threads_submit_at_once(self, backend: ComputeBackend, source: DataSource) -> None:
        """Every method may be called from any thread: each of 4 that submit at once gets a run of its own."""
        jobs = [TrainingJob(model=_LOGISTIC, tags={"thread": str(i)}) for i in range(4)]
        with ThreadPoolExecutor(4) as pool:
            runs = list(pool.map(lambda job: self.finished(backend, job, source), jobs))
        assert [run.state for run in runs] == [RunState.COMPLETED] * 4
        assert [run.record.tags["thread"] for run in runs] == ["0", "1", "2", "3"]
        assert {record.id for record in backend.runs()} == {run.id for run in runs}
        assert len({run.id for run in runs}) == 4

    def test_detach_is_kept_or_refused(self, backend: ComputeBackend, source: DataSource) -> None:
        """``detach=True`` is taken where runs outlive this process; else it is a `UsageError`, before anything runs."""
        job = TrainingJob(model=_LOGISTIC)
        if self.detaches:
            assert Run(backend, backend.submit(job, source, detach=True)).wait(self.deadline).error is None
            return
        with pytest.raises(UsageError):
            backend.submit(job, source, detach=True)
        assert backend.runs() == ()

    def test_states_come_in_order_and_end_once(self, backend: ComputeBackend, source: DataSource) -> None:
        """Transitions go forward in time and through the states in order; one terminal state ends them."""
        record = self.finished(backend, TrainingJob(model=_LOGISTIC), source).record
        order = list(RunState)
        positions = [order.index(transition.state) for transition in record.transitions]
        assert positions == sorted(set(positions))
        assert [transition.state.is_terminal for transition in record.transitions].count(True) == 1
        times = [transition.at for transition in record.transitions]
        assert times == sorted(times)
        assert record.started_at is not None
        assert record.finished_at is not None

    def test_the_same_seed_gives_the_same_result(self, backend: ComputeBackend, source: DataSource) -> None:
        """Two runs of one job agree in every metric of the model."""
        forest = ModelSpec("sklearn.linear_model.SGDClassifier", {"max_iter": 5, "tol": None})
        results = [self.finished(backend, TrainingJob(model=forest, seed=7), source).metrics for _ in range(2)]
        assert results[0]["accuracy"] == results[1]["accuracy"]

    def test_a_failing_job_is_a_failed_run(self, backend: ComputeBackend) -> None:
        """A job whose data can't be had is a Failed run that says why, not an exception."""
        run = self.finished(backend, TrainingJob(model=_LOGISTIC), _NoData())
        assert run.state is RunState.FAILED
        assert run.error is not None
        assert "planted by the test" in run.error

    def test_an_error_in_training_is_kept(self, backend: ComputeBackend, source: DataSource) -> None:
        """An exception in training is a Failed run with the error's line and its traceback."""
        bad = ModelSpec("sklearn.linear_model.LogisticRegression", {"C": -1})
        run = self.finished(backend, TrainingJob(model=bad), source)
        assert run.state is RunState.FAILED
        assert run.error is not None
        assert "C" in run.error
        assert "Traceback" in (run.record.traceback or "")

    def test_a_regressor_is_refused(self, backend: ComputeBackend, source: DataSource) -> None:
        """An estimator that can't predict classes is refused before anything runs."""
        with pytest.raises(SpecError, match="can't predict classes"):
            backend.submit(TrainingJob(model=ModelSpec("sklearn.linear_model.Ridge")), source)
        assert backend.runs() == ()

    def test_an_estimator_that_isnt_there_is_refused(self, backend: ComputeBackend, source: DataSource) -> None:
        """An estimator that can't be imported is a `SpecError` before anything runs."""
        with pytest.raises(SpecError, match="NoSuchClassifier"):
            backend.submit(TrainingJob(model=ModelSpec("sklearn.linear_model.NoSuchClassifier")), source)
        assert backend.runs() == ()

    def test_records_outlive_their_process(self, backend: ComputeBackend, source: DataSource, tmp_path: Path) -> None:
        """A later process finds the runs, their logs and their files as they were."""
        run = self.finished(backend, TrainingJob(model=_LOGISTIC), source)
        later = self.reopened(backend)
        assert later.get(run.id) == run.record
        assert later.runs() == (run.record,)
        assert later.logs(run.id) == run.logs()
        copy = later.download(run.id, "outputs/model.skops", tmp_path / "later").read_bytes()
        assert copy == run.download("outputs/model.skops", tmp_path / "now").read_bytes()

    def test_an_unreadable_record_hides_no_other(self, backend: ComputeBackend, source: DataSource) -> None:
        """`runs` never fails for one unreadable record: the others are listed."""
        good, bad = (self.finished(backend, TrainingJob(model=_LOGISTIC), source) for _ in range(2))
        self.damage(backend, bad)
        assert good.record in backend.runs()

    def test_unknown_runs_are_not_found(self, backend: ComputeBackend, tmp_path: Path) -> None:
        """Every method answers an unknown run, or a hostile run id, with `RunNotFoundError`."""
        for run_id in (_UNKNOWN, "../../etc", "", "a/b", "x" * 300):
            for call in (
                backend.get,
                backend.cancel,
                backend.logs,
                lambda run: backend.download(run, "outputs/evaluation.json", tmp_path),
            ):
                with pytest.raises(RunNotFoundError):
                    call(run_id)

    def test_runs_are_listed_newest_first(self, backend: ComputeBackend, source: DataSource) -> None:
        """`runs` lists all runs, or one experiment's, newest first."""
        runs = [self.finished(backend, TrainingJob(model=_LOGISTIC, experiment=e), source) for e in ("a", "b", "a")]
        assert [record.id for record in backend.runs()] == [run.id for run in reversed(runs)]
        assert [record.id for record in backend.runs("a")] == [runs[2].id, runs[0].id]
        assert backend.runs("none") == ()

    def test_get_agrees_with_the_listing(self, backend: ComputeBackend, source: DataSource) -> None:
        """`get` and `runs` tell the same of a run that has ended, every time."""
        run = self.finished(backend, TrainingJob(model=_LOGISTIC), source)
        assert backend.get(run.id) == run.record
        assert backend.runs() == (run.record,)

    def test_cancel_after_the_end_changes_nothing(self, backend: ComputeBackend, source: DataSource) -> None:
        """Cancelling a completed run, also twice, leaves it as it is."""
        run = self.finished(backend, TrainingJob(model=_LOGISTIC), source)
        backend.cancel(run.id)
        backend.cancel(run.id)
        assert backend.get(run.id) == run.record

    def test_what_waits_is_canceled_at_once(self, backend: ComputeBackend, source: DataSource, tmp_path: Path) -> None:
        """A run that hasn't started is Canceled before `cancel` returns, and never starts."""
        held = HeldData(source, tmp_path / "gate", self.deadline)
        runs = [Run(backend, backend.submit(TrainingJob(model=_LOGISTIC), held)) for _ in range(8)]
        waiting = [run for run in runs if run.refresh().state is RunState.QUEUED]
        if waiting:
            waiting[-1].cancel()
            assert waiting[-1].state is RunState.CANCELED
        for run in runs:
            run.cancel()
        held.gate.touch()
        for run in runs:
            run.wait(self.deadline)
        if not waiting:
            pytest.skip("this backend starts 8 runs at once")
        assert waiting[-1].state is RunState.CANCELED
        assert waiting[-1].record.started_at is None

    def test_files_can_be_downloaded(self, backend: ComputeBackend, source: DataSource, tmp_path: Path) -> None:
        """`download` copies a file under its own name, creating the folder, and again over an earlier copy."""
        run = self.finished(backend, TrainingJob(model=_LOGISTIC), source)
        for _ in range(2):
            path = backend.download(run.id, "outputs/evaluation.json", tmp_path / "a" / "b")
            assert path == tmp_path / "a" / "b" / "evaluation.json"
            assert json.loads(path.read_text())["accuracy"] == run.metrics["accuracy"]
        for file in run.files:
            assert run.download(file, tmp_path / "all").name == Path(file).name

    def test_files_that_arent_there(self, backend: ComputeBackend, source: DataSource, tmp_path: Path) -> None:
        """A file that a run lacks is a `NotFoundError` that lists its files; a hostile name an `InvalidNameError`."""
        run = self.finished(backend, TrainingJob(model=_LOGISTIC), source)
        with pytest.raises(NotFoundError, match=r"outputs/model\.skops"):
            backend.download(run.id, "outputs/nothing.txt", tmp_path / "into")
        for hostile in ("../job.json", "/etc/passwd", "outputs/../../x", "outputs\\..\\x", ""):
            with pytest.raises(InvalidNameError):
                backend.download(run.id, hostile, tmp_path / "into")
        assert not (tmp_path / "into").exists() or list((tmp_path / "into").iterdir()) == []


class _NoData(DataSource):
    """A source that never delivers."""

    @property
    def uri(self) -> str:
        return "no-data"

    def fetch(self, into: Path) -> Path:
        raise NotFoundError(f"there is no data for {into.name}: planted by the test")
