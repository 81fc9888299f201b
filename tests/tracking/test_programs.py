"""Programs that track their own fits: what is kept of their source, and how they may end."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnistkit.jobs.source_code import program_sources
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.trainer import Trainer

SCRIPT = """
import sys, time
from models.small import SIZE
from mnistkit import Trainer

with Trainer.local(data="digits").start_run("from a script") as run:
    run.log("size", SIZE)
    print("begun", flush=True)
    if sys.argv[1] == "wait":
        time.sleep(60)
"""

CELLS = """
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for cell in (
    "from mnistkit import Trainer\\napi_key = 'hunter22hunter22'\\ntrainer = Trainer.local(data='digits')",
    "%time 1 + 1",
    "with trainer.start_run('in a notebook') as run:\\n    run.log('a', 1)",
):
    assert shell.run_cell(cell, store_history=True).success
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A script with a package of its own."""
    folder = tmp_path / "program"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "__init__.py").write_text("")
    (folder / "models" / "small.py").write_text("import numpy\nSIZE = 8\n")
    (folder / "data.csv").write_text("not source")
    (folder / "train.py").write_text(SCRIPT)
    return folder


@pytest.fixture
def home(mnistkit_home: Path) -> Trainer:
    """What finds the runs of programs that this test starts."""
    del mnistkit_home
    return Trainer.local(data="digits")


def _begun(program: Path, argument: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "train.py", argument],
        cwd=program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n", process.communicate()
    return process


def _ended(trainer: Trainer) -> Run:
    (run,) = trainer.runs()
    return run.wait(10)


def test_the_source_of_a_script_is_kept(program: Path, home: Trainer) -> None:
    """The script and the user's modules that it imports are in the run's folder, and in its fingerprint; no data is."""
    _begun(program, "now").communicate()
    run = _ended(home)
    assert run.state is RunState.COMPLETED
    code = Path(run.record.url) / "code"
    kept = {path.relative_to(code).as_posix(): path.read_text() for path in code.rglob("*") if path.is_file()}
    assert kept == {"train.py": SCRIPT, "models/__init__.py": "", "models/small.py": "import numpy\nSIZE = 8\n"}
    assert run.record.job.fingerprint is not None
    assert run.record.job.fingerprint.code.keys() == kept.keys()
    assert run.record.job.describe().facts["Fitted by"] == "train.py"


def test_a_program_that_is_killed_leaves_a_failed_run(program: Path, home: Trainer) -> None:
    """Other processes see the run as Running while the program lives, and as Failed once it was killed."""
    process = _begun(program, "wait")
    (run,) = home.runs()
    assert (run.state, run.metrics) == (RunState.RUNNING, {"size": 8})
    process.kill()
    process.communicate()
    run = _ended(home)
    assert run.state is RunState.FAILED
    assert f"pid {process.pid}) ended before the run did" in (run.error or "")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process there")
def test_control_c_cancels(program: Path, home: Trainer) -> None:
    """Ctrl-C in the block leaves a Canceled run, and ends the program as ever."""
    process = _begun(program, "wait")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert "KeyboardInterrupt" in errors
    assert _ended(home).state is RunState.CANCELED


def test_the_cells_of_a_notebook_are_kept(home: Trainer, tmp_path: Path) -> None:
    """In a notebook all cells so far are kept, magics as IPython runs them, without what looks like a secret."""
    pytest.importorskip("IPython")
    (tmp_path / "notebook.py").write_text(CELLS)
    subprocess.run([sys.executable, str(tmp_path / "notebook.py")], check=True, cwd=tmp_path)
    run = _ended(home)
    text = (Path(run.record.url) / "code" / "notebook.py").read_text()
    assert "# In [1]\nfrom mnistkit import Trainer\n" in text
    assert "# In [3]\nwith trainer.start_run('in a notebook') as run:\n" in text
    assert "hunter22" not in text
    assert run.record.job.describe().facts["Fitted by"] == "notebook"


def test_a_program_without_a_script_has_no_source() -> None:
    """What was started by an installed program, such as pytest, isn't the user's source."""
    assert not program_sources().files
