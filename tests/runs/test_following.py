"""Following a run."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mnistkit.interfaces import ComputeBackend, DataSource
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.following import LogTail, StateNews
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.run import Run
from support.pages import Page
from support.stub_backend import Paper

DEADLINE = 60
QUEUED, PREPARING, RUNNING, ASKED, DONE, CANCELED = (
    RunState(name) for name in ("Queued", "Preparing", "Running", "CancelRequested", "Completed", "Canceled")
)

Submit = Callable[[str], Run]


@pytest.fixture
def submit(tmp_path: Path, tiny_mnist: DataSource) -> Submit:
    """Submit a script of so many lines."""

    def submitted(text: str) -> Run:
        folder = tmp_path / "script"
        folder.mkdir()
        (folder / "train.py").write_text(text, encoding="utf-8")
        backend = InProcessCompute(tmp_path / "home")
        return Run(backend, backend.submit(ScriptJob(folder), tiny_mnist))

    return submitted


@pytest.fixture
def paper() -> Paper:
    """Such a backend."""
    return Paper()


def test_a_tail_reads_each_character_once(paper: Paper) -> None:
    """A log that grows is asked for from where the last look ended; lines come once they are whole."""
    tail = LogTail(Run(paper, paper.get("run")))
    told = []
    for text in ("one\ntw", "o\nthree\r", "\nfour"):
        paper.log += text
        told.append(tail.read())
    assert told == [["one"], ["two"], ["three"]]
    assert paper.asked == [0, 6, 14]
    assert tail.last_line == "four"


def test_a_tail_ends_with_the_run(paper: Paper) -> None:
    """What the log ends with comes when the run has ended, also without a line end."""
    run = Run(paper, paper.get("run"))
    tail = LogTail(run)
    paper.log = "50%\r100%\r"
    assert tail.read() == ["50%"]
    paper.states.append(DONE)
    run.refresh()
    assert tail.read() == ["100%"]
    assert list(tail.last) == ["50%", "100%"]


def test_a_tail_is_safe_and_small(paper: Paper) -> None:
    """Control characters are written out, a line without an end comes in pieces, and only the last lines are kept."""
    tail = LogTail(Run(paper, paper.get("run")), lines=3)
    paper.log = "\x1b[2J" + "x" * 25_000
    pieces = tail.read()
    assert [len(piece) for piece in pieces] == [10_000, 10_000, 5_007]
    assert pieces[0].startswith("\\x1b[2J")
    paper.log += "\n" * 100 + "y"
    tail.read()
    assert len(tail.last) == 3


def test_each_state_is_told_once(paper: Paper) -> None:
    """Each state is news once, a second attempt's again, a request to cancel once though it leaves the record."""
    news = StateNews()
    told = []
    for states in (
        [QUEUED],
        [QUEUED, PREPARING, RUNNING],
        [QUEUED, PREPARING, RUNNING, PREPARING],
        [QUEUED, PREPARING, RUNNING, PREPARING, ASKED],
        [QUEUED, PREPARING, RUNNING, PREPARING, ASKED],
        [QUEUED, PREPARING, RUNNING, PREPARING, CANCELED],
    ):
        paper.states = states
        told.append([line.removeprefix("Run x is ").split(" ")[0].rstrip(".") for line in news.lines(paper.get("x"))])
    assert told == [["Queued"], ["Preparing", "Running"], ["Preparing"], ["CancelRequested"], [], ["Canceled"]]


def test_watching_prints_states_and_lines(submit: Submit, capsys: pytest.CaptureFixture[str]) -> None:
    """Outside of a notebook states and log lines are printed, the last one with the metrics; the run comes back."""
    run = submit(
        "from mnistkit import get_context\nprint('hello \\x1b[2J')\n"
        "get_context().log('accuracy', 0.5)\nprint('bye', end='')"
    )
    assert run.watch() is run
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith("Run ")] == ["hello \\x1b[2J", "bye"]
    states = [line.split(" is ")[1].split(" ")[0].rstrip(".") for line in lines if line.startswith("Run ")]
    assert states == ["Queued", "Preparing", "Running", "Finalizing", "Completed"]
    assert lines[-1].startswith(f"Run {run.id} is Completed after ")
    assert lines[-1].endswith(": accuracy 0.5")


def test_watching_a_run_that_failed_says_why(submit: Submit, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line of a failed run has its error; watching raises nothing."""
    run = submit("raise SystemExit(7)").watch()
    assert run.state is RunState.FAILED
    assert "exited with code 7" in capsys.readouterr().out.splitlines()[-1]


def test_watching_does_not_load_ipython(submit: Submit) -> None:
    """Where IPython doesn't run already it isn't imported."""
    code = "import sys, mnistkit.runs.following as w\nassert not w._in_notebook()\nassert 'IPython' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_characters_that_the_terminal_lacks_are_written_out(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log in letters that standard output can't encode is printed with escapes, not with an error."""
    import io

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", newline="\n"))
    paper.log, paper.states = "\u2713 ok\n", [QUEUED, DONE]
    Run(paper, paper.get("run")).watch()
    assert b"\\u2713 ok\n" in raw.getvalue()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[dict[str, str], str, bool]]]:
    """What a notebook is told to show: data, the display's id, and whether it replaces what was there."""
    shell_class = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    publisher = pytest.importorskip("IPython.core.displaypub").DisplayPublisher
    outputs: list[tuple[dict[str, str], str, bool]] = []

    class Recorder(publisher):  # type: ignore[misc, valid-type]
        """Stands where a kernel sends messages to the browser."""

        def publish(
            self, data: dict[str, str], *args: Any, transient: Any = None, update: bool = False, **_: Any
        ) -> None:
            outputs.append((data, transient["display_id"], update))

    monkeypatch.setenv("IPYTHONDIR", str(Path.cwd() / ".ipython"))
    shell = shell_class.instance(display_pub_class=Recorder)
    yield outputs
    shell.history_manager.end_session()
    shell_class.clear_instance()


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_elsewhere")
def test_a_notebook_has_one_cell_that_changes(shown: list[Any], submit: Submit) -> None:
    """In a notebook one output is replaced in place, again and again, by HTML without markup from the log."""
    run = submit("import time\nfor i in range(5):\n    print(f'<script>{i}</script>', flush=True)\n    time.sleep(0.1)")
    assert run.watch() is run
    assert len(shown) > 2
    assert len({identity for _, identity, _ in shown}) == 1
    assert [is_update for *_, is_update in shown] == [False] + [True] * (len(shown) - 1)
    last = Page(shown[-1][0]["text/html"])
    last.check()
    assert "Completed" in last.text
    assert "<script>0</script>\n<script>1</script>" in last.text
    assert type(shown[-1][0]["text/html"]) is str
    assert run.id in shown[-1][0]["text/plain"]


@pytest.mark.usefixtures("_elsewhere")
def test_ipython_in_a_terminal_has_lines(shown: list[Any], submit: Submit, capsys: pytest.CaptureFixture[str]) -> None:
    """A shell of IPython that shows text alone gets the plain lines."""
    from IPython import get_ipython

    get_ipython().display_formatter.active_types = ["text/plain"]
    submit("print('hello')").watch()
    assert shown == []
    assert "hello\n" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of a file that was being opened at that moment
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one thread there")
@pytest.mark.parametrize("how", ["watch", "wait", "logs"])
def test_interrupting_says_how_to_cancel(
    submit: Submit, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """Ctrl-C leaves the run going and logs how to cancel it; `watch` comes back, `wait` and `logs` raise on."""
    run = submit("import time\nprint('begun', flush=True)\ntime.sleep(60)")
    _wait_until(lambda: "begun" in run.logs())
    with caplog.at_level(logging.WARNING, logger="mnistkit"):
        _interrupt_soon()
        if how == "watch":
            assert run.watch() is run
        else:
            with pytest.raises(KeyboardInterrupt):
                run.wait() if how == "wait" else list(run.logs(follow=True))
    assert f"Run {run.id} goes on; cancel it with run.cancel() or 'mnistkit runs cancel {run.id}'." in caplog.messages
    assert run.refresh().state is RunState.RUNNING
    run.cancel()
    assert run.wait(DEADLINE).state is RunState.CANCELED


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one thread there")
def test_interrupting_a_training_does_not_say_that_it_goes_on(
    tmp_path: Path, tiny_mnist: DataSource, caplog: pytest.LogCaptureFixture
) -> None:
    """`Trainer.train` cancels its run when it is interrupted, and claims nothing else."""
    from sklearn.dummy import DummyClassifier

    from mnistkit.trainer import Trainer

    trainer = Trainer.local(data=tiny_mnist, home=tmp_path / "home")
    trainer.compute = _Interrupting(trainer.compute)
    with caplog.at_level(logging.WARNING, logger="mnistkit"), pytest.raises(KeyboardInterrupt):
        trainer.train(DummyClassifier())
    assert not [message for message in caplog.messages if "goes on" in message]


def test_logs_can_be_read_from_where_one_was(submit: Submit) -> None:
    """`logs(start=)` leaves out what was read before, followed or not."""
    run = submit("print('0123456789')").wait(DEADLINE)
    assert run.logs(start=4) == "456789\n"
    assert "".join(run.logs(follow=True, start=8)) == "89\n"


class _Interrupting:
    """A backend at which somebody presses Ctrl-C at the first look."""

    def __init__(self, backend: ComputeBackend) -> None:
        self._backend = backend
        self._looked = False

    def get(self, run_id: str) -> RunRecord:
        if not self._looked:
            self._looked = True
            raise KeyboardInterrupt
        return self._backend.get(run_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _interrupt_soon() -> None:
    """Press Ctrl-C in a moment."""
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()
