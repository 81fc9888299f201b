"""The contract of `ComputeBackend` for scripts, as tests."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mnistkit.errors import NotFoundError
from mnistkit.interfaces import ComputeBackend, DataSource
from mnistkit.jobs.job import DATA_FOLDER, ScriptJob
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.testing.compute_base import ComputeSuiteBase

__all__ = ["ScriptSuite"]


class ScriptSuite(ComputeSuiteBase):
    """Promises about a `ScriptJob`; part of `ComputeBackendSuite`, skipped where ``runs_scripts`` is False."""

    interface = "ComputeBackend"

    def test_cancel_ends_a_running_script(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """A script that would run for long ends as Canceled, however often it is asked to."""
        (script / "train.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
        run = Run(backend, backend.submit(ScriptJob(str(script)), source))
        self.wait_for_log(run, "begun")
        run.cancel()
        run.cancel()
        assert run.wait(self.deadline).state is RunState.CANCELED
        assert [transition.state.is_terminal for transition in run.record.transitions].count(True) == 1

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
        """A process that a script starts and doesn't wait for has ended when its run has."""
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

    def test_logs_can_be_read_in_pieces(self, backend: ComputeBackend, source: DataSource, script: Path) -> None:
        """Text that `logs` returned doesn't change: text from ``start`` on is the rest."""
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
        """Metrics that a script logs through `get_context`, and files in ``./outputs``, are the run's."""
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
