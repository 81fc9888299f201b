"""Runs as they go on, on terminals of any size and without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mnistkit.cli import output
from mnistkit.cli.live import shown
from mnistkit.cli.live_rows import Rows
from mnistkit.runs.record import MetricPoint, RunState
from mnistkit.runs.run import Run
from mnistkit.utils.clock import utc_now
from support.stub_backend import Paper

Screen = Callable[..., list[str]]

RUNNING, DONE = RunState.RUNNING, RunState.COMPLETED


def run_of(number: int, *states: RunState, log: str = "", **metrics: float) -> Run:
    """A run in the last of these states."""
    paper = Paper()
    paper.states = [RunState.QUEUED, *states]
    paper.log = log
    paper.points = tuple(MetricPoint(name, value, 7, utc_now()) for name, value in metrics.items())
    return Run(paper, paper.get(f"20261123-120000-{number:06}"))


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """What a terminal of a size shows of runs: its lines."""

    def drawn(runs: list[Run], waiting: int = 0, *, columns: int = 100, lines: int = 30) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", str(lines))
        output.error_console.cache_clear()
        console = output.error_console()
        with console.capture() as capture:
            console.print(Rows(runs, range(waiting)).render())
        return [line.rstrip() for line in capture.get().splitlines()]

    yield drawn
    output.error_console.cache_clear()


def test_one_run_shows_state_times_metric_and_log(screen: Screen) -> None:
    """State, elapsed, last metric; the time in each state; the last log line without its time, made safe."""
    log = "first\n2026-11-23 12:00:00,123 second \x1b[2J\n\n"
    state, times, last = screen([run_of(1, RunState.PREPARING, RUNNING, log=log, objective=12345.6)])
    assert state.split()[1:] == ["Running", "0.0", "s", "objective", "12346", "(step", "7)"]
    assert times.strip() == "Queued 0.0 s, Preparing 0.0 s, Running 0.0 s"
    assert last.strip() == "second \\x1b[2J"


def test_a_sweep_has_a_row_per_run(screen: Screen) -> None:
    """What goes on has its last metric and log line, what is done its accuracy, and the last line counts."""
    runs = [run_of(1, RUNNING, DONE, accuracy=0.91234, loss=3.0), run_of(2, RUNNING, log="line", loss=0.5), run_of(3)]
    first, second, summary = screen(runs, waiting=4)
    assert first.endswith("20261123-120000-000001  Completed    0.0 s  accuracy 0.9123")
    assert second.endswith("20261123-120000-000002  Running      0.0 s  loss 0.5 (step 7)  line")
    assert summary.strip() == "1 finished, 1 running, 5 queued"


def test_a_narrow_terminal_breaks_no_line(screen: Screen) -> None:
    """On 40 columns each run keeps to its line, with the end of its id, its state, and its metric."""
    runs = [run_of(1, RUNNING, DONE, accuracy=0.9), run_of(2, RUNNING, log="x" * 200, objective=12345.6)]
    for lines in (screen(runs, columns=40), screen(runs[1:], columns=40)):
        assert len(lines) == 3
        assert max(map(len, lines)) <= 40
    assert "000001 Completed accuracy 0.9" in screen(runs, columns=40)[0]


def test_a_low_terminal_shows_what_goes_on(screen: Screen) -> None:
    """Where the rows don't fit, those that go on stay, then the latest that ended; the rest is counted."""
    runs = [run_of(i, RUNNING, DONE, accuracy=0.9) for i in range(20)] + [run_of(i, RUNNING) for i in range(20, 23)]
    lines = screen(runs, lines=8)
    assert len(lines) == 6
    assert [number for number in range(23) if any(f"-{number:06} " in line for line in lines)] == [18, 19, 20, 21, 22]
    assert lines[-1].strip() == "20 finished, 3 running, 0 queued"


def test_large_logs_are_read_once() -> None:
    """Each drawing asks for what the log has grown by, not for all of it."""
    run = run_of(1, RUNNING, log="x" * 1000 + "\n")
    paper = run._backend
    assert isinstance(paper, Paper)
    rows = Rows([run], ())
    for _ in range(3):
        rows.render()
        paper.log += "more\n"
    assert paper.asked == [0, 1001, 1006]


def test_without_a_terminal_states_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Each state that a run enters is a line on standard error, once; the last one has the metrics."""
    output.error_console.cache_clear()
    run = run_of(1, RunState.PREPARING)
    paper = run._backend
    assert isinstance(paper, Paper)
    with shown([run]) as show:
        show()
        paper.states += [RUNNING, DONE]
        paper.points = (MetricPoint("accuracy", 0.9, None, utc_now()),)
        run.refresh()
        show()
        show()
    assert capsys.readouterr().err.splitlines() == [
        f"Run {run.id} is Preparing.",
        f"Run {run.id} is Running.",
        f"Run {run.id} is Completed after 0.0 s: accuracy 0.9",
    ]
