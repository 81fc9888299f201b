"""The contract of `ComputeBackend`, as tests to subclass."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import frozen

from mnistkit.errors import InvalidNameError, NotFoundError, RunNotFoundError, SpecError, UsageError
from mnistkit.interfaces import ComputeBackend, DataSource
from mnistkit.jobs.job import DATA_FOLDER, Job, ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.run import Run
from mnistkit.testing.contract import ContractSuite

__all__ = ["ComputeBackendSuite"]

_LOGISTIC = ModelSpec("sklearn.linear_model.LogisticRegression", {"tol": 0.01, "max_iter": 1000})
_UNKNOWN = "20000101-000000-ffffff"


class _NoData(DataSource):
    """A source that never delivers."""

    @property
    def uri(self) -> str:
        return "no-data"

    def fetch(self, into: Path) -> Path:
        raise NotFoundError(f"there is no data for {into.name}: planted by the test")


@frozen
class HeldData(DataSource):
    """A source that delivers another one's data only once the file ``gate`` is there."""

    source: DataSource
    gate: Path
    seconds: float

    @property
    def uri(self) -> str:
        """The other one's."""
        return self.source.uri

    def fetch(self, into: Path) -> Path:
        """Wait, and fetch."""
        end = time.monotonic() + self.seconds
        while not self.gate.exists():
            if time.monotonic() > end:
                raise NotFoundError(f"{self.gate.name} never came: planted by the test")
            time.sleep(0.01)
        return self.source.fetch(into)


class ComputeBackendSuite(ContractSuite):
    """Subclass it with a fixture ``backend`` that returns a backend without runs.

    ::

        class TestMyBackend(ComputeBackendSuite):
            @pytest.fixture
            def backend(self, tmp_path):
                return MyBackend(tmp_path)

    Override `reopened` and `damage` if you can: their tests are skipped without them.

    Attributes:
        deadline: Seconds within which any of these small runs must end.
        runs_scripts: Whether the backend takes a `ScriptJob`; its tests are skipped if not.
        ends_leftovers: Whether jobs run on this machine, where what they leave behind must be ended.
        detaches: Whether runs may outlive the process that submits them; ``detach=True`` must be refused if not.
    """

    interface = "ComputeBackend"
    deadline: float = 60.0
    runs_scripts: bool = True
    ends_leftovers: bool = True
    detaches: bool = False

    @pytest.fixture
    def backend(self) -> ComputeBackend:
        """The backend under test."""
        raise NotImplementedError("define a fixture 'backend' in the subclass")

    @pytest.fixture
    def source(self, tiny_mnist: DataSource) -> DataSource:
        """What jobs are fitted on; the default is fixture ``tiny_mnist``."""
        return tiny_mnist

    @pytest.fixture
    def script(self, tmp_path: Path) -> Path:
        """A folder for a script; skips the test where the backend takes none."""
        self.require("runs_scripts")
        folder = tmp_path / "script"
        folder.mkdir()
        return folder

    def reopened(self, backend: ComputeBackend) -> ComputeBackend:
        """The same backend as a later process makes it."""
        pytest.skip(f"reopened() isn't overridden: nothing tells what a later process finds of {backend!r}")

    def damage(self, backend: ComputeBackend, run: Run) -> None:
        """Make the record of a run unreadable behind the backend's back."""
        pytest.skip(f"damage() isn't overridden: nothing can reach the record of {run.id} in {backend!r}")

    def finished(self, backend: ComputeBackend, job: Job, source: DataSource) -> Run:
        """Submit, and wait for the end."""
        return Run(backend, backend.submit(job, source)).wait(self.deadline)

    def test_is_a_compute_backend(self, backend: ComputeBackend) -> None:
        """A backend is a `ComputeBackend`."""
        assert isinstance(backend, ComputeBackend)

    # A run's way

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

    # Records

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

    # Cancelling

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

    def test_cancel_ends_a_running_script(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """A script that would run for long ends as Canceled, however often it is asked to."""
        (script / "train.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
        run = Run(backend, backend.submit(ScriptJob(str(script)), source))
        self.wait_for_log(run, "begun")
        run.cancel()
        run.cancel()
        assert run.wait(self.deadline).state is RunState.CANCELED
        assert [transition.state.is_terminal for transition in run.record.transitions].count(True) == 1

    # Bad ends

    def test_a_killed_script_says_by_what(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """A script that a signal kills is a Failed run that names the signal."""
        (script / "train.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
        run = self.finished(backend, ScriptJob(str(script)), source)
        assert run.state is RunState.FAILED
        assert "SIGSEGV" in (run.error or "")
        assert [(attempt.cause, attempt.signal) for attempt in run.record.attempts] == [("killed", "SIGSEGV")]

    def test_a_late_script_is_ended(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """A script that isn't done when its timeout is over is ended, and is a Failed run."""
        (script / "train.py").write_text("import time\ntime.sleep(600)\n")
        run = self.finished(backend, ScriptJob(str(script), timeout=0.5), source)
        assert run.state is RunState.FAILED
        assert "0.5 s" in (run.error or "")
        assert [attempt.cause for attempt in run.record.attempts] == ["timeout"]

    def test_what_ends_badly_is_repeated(
        self, backend: ComputeBackend, source: DataSource, script: Path, tmp_path: Path
    ) -> None:
        """A job with ``retries`` is tried again until it ends well; what earlier attempts left isn't the run's."""
        (script / "train.py").write_text(
            "import os, sys\nfrom mnistkit import get_context\n"
            "with open(sys.argv[1], 'a+') as tries:\n"
            "    tries.write('x')\n    tries.seek(0)\n    n = len(tries.read())\n"
            "get_context().log('attempt', n)\nos.makedirs('outputs', exist_ok=True)\n"
            "open(f'outputs/{n}.txt', 'w').close()\nsys.exit(n < 3)\n"
        )
        job = ScriptJob(str(script), arguments=(tmp_path / "tries",), retries=5)
        run = self.finished(backend, job, source)
        assert run.state is RunState.COMPLETED, run.error
        assert [attempt.cause for attempt in run.record.attempts] == ["error", "error", None]
        assert [point.value for point in run.series("attempt")] == [3.0]
        assert [file for file in run.files if file.startswith("outputs/")] == ["outputs/3.txt"]

    def test_only_what_is_worth_it_is_repeated(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """A bad end that ``retry_on`` doesn't name isn't repeated."""
        (script / "train.py").write_text("raise SystemExit(3)\n")
        run = self.finished(backend, ScriptJob(str(script), retries=5, retry_on=("killed", "timeout")), source)
        assert run.state is RunState.FAILED
        assert [attempt.cause for attempt in run.record.attempts] == ["error"]

    def test_nothing_of_a_script_goes_on(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """What a script starts and doesn't wait for has ended when its run has."""
        self.require("ends_leftovers")
        (script / "train.py").write_text(
            "import subprocess, sys\n"
            "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)\n"
        )
        run = self.finished(backend, ScriptJob(str(script)), source)
        assert run.state is RunState.COMPLETED, run.error
        end = time.monotonic() + self.deadline
        while _lives(int(run.logs())):
            assert time.monotonic() < end, "it lives on"
            time.sleep(0.05)

    def wait_for_log(self, run: Run, text: str) -> None:
        """Wait until the run's log holds ``text``."""
        end = time.monotonic() + self.deadline
        while text not in run.logs():
            assert time.monotonic() < end, f"{text!r} never came; the log is {run.logs()!r}"
            assert not run.refresh().state.is_terminal, run.error
            time.sleep(0.02)

    # Logs and files

    def test_logs_can_be_read_in_pieces(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """What `logs` returned doesn't change: text from ``start`` on is the rest."""
        (script / "train.py").write_text("print('one')\nprint('two')\n")
        run = self.finished(backend, ScriptJob(str(script)), source)
        text = run.logs()
        assert "one\ntwo\n" in text.replace("\r\n", "\n")
        for start in (0, 1, len(text) - 1, len(text), len(text) + 10):
            assert backend.logs(run.id, start=start) == text[start:]

    def test_odd_bytes_in_logs_never_raise(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """Bytes that aren't UTF-8 come as backslash escapes."""
        (script / "train.py").write_text("import sys\nsys.stdout.buffer.write(b'caf\\xe9 \\xff\\x00 ok\\n')\n")
        text = self.finished(backend, ScriptJob(str(script)), source).logs()
        assert "caf\\xe9 \\xff\x00 ok" in text

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

    # Scripts

    def test_a_script_gets_arguments_and_data(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """A script runs with its arguments, `DATA_FOLDER` replaced, and imports what lies next to it."""
        (script / "helper.py").write_text("WORD = 'from next door'\n")
        (script / "train.py").write_text(
            "import glob, sys\nfrom helper import WORD\n"
            "print(WORD, sys.argv[1], sys.argv[3])\n"
            "print(len(glob.glob(sys.argv[2] + '/**/*-ubyte*', recursive=True)), 'files')\n"
        )
        run = self.finished(backend, ScriptJob(str(script), "train.py", ("--data-folder", DATA_FOLDER, 0.5)), source)
        assert run.state is RunState.COMPLETED, run.error
        assert "from next door --data-folder 0.5" in run.logs()
        assert "4 files" in run.logs()

    def test_a_script_logs_and_leaves_files(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """What a script logs through `get_context` and writes to ``./outputs`` is the run's."""
        (script / "train.py").write_text(
            "import os\nfrom mnistkit import get_context\ncontext = get_context()\n"
            "for step in range(3):\n    context.log('loss', 1 / (step + 1), step=step)\n"
            "context.log('accuracy', float('nan'))\ncontext.tag('colour', 'grey')\n"
            "os.makedirs('outputs/deep', exist_ok=True)\n"
            "open('outputs/deep/model.txt', 'w').write('the model')\n"
        )
        run = self.finished(backend, ScriptJob(str(script)), source)
        assert run.state is RunState.COMPLETED, run.error
        assert [(point.step, point.value) for point in run.series("loss")] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
        assert run.metrics["accuracy"] != run.metrics["accuracy"]
        assert run.record.tags["colour"] == "grey"
        assert "outputs/deep/model.txt" in run.files

    def test_a_script_that_exits_badly_failed(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """A script that exits with a code is a Failed run that tells the code, and keeps the log's end."""
        (script / "train.py").write_text("import sys\nprint('last words')\nsys.exit(3)\n")
        run = self.finished(backend, ScriptJob(str(script)), source)
        assert run.state is RunState.FAILED
        assert run.error is not None
        assert "3" in run.error
        assert "last words" in (run.record.traceback or run.error)

    def test_later_edits_dont_reach_a_script(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """A script runs as it was when it was submitted, and the user's folder stays as it was."""
        (script / "train.py").write_text("import time, helper\nprint('begun', flush=True)\n")
        (script / "helper.py").write_text("")
        run = Run(backend, backend.submit(ScriptJob(str(script)), source))
        (script / "train.py").write_text("raise SystemExit('edited')\n")
        assert run.wait(self.deadline).state is RunState.COMPLETED, run.error
        assert sorted(path.name for path in script.iterdir()) == ["helper.py", "train.py"]

    def test_a_missing_script_is_refused(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """A script that isn't there is refused before anything runs."""
        with pytest.raises(NotFoundError, match=r"nowhere\.py"):
            backend.submit(ScriptJob(str(script), "nowhere.py"), source)
        with pytest.raises(NotFoundError, match="no-such-folder"):
            backend.submit(ScriptJob(str(script / "no-such-folder")), source)
        assert backend.runs() == ()


def _lives(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
