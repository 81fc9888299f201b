"""Work that takes a while, as it goes on: bars for downloads, a line per run."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.spinner import Spinner
from rich.text import Text

from mnistkit.cli import output
from mnistkit.cli.command import INTERRUPTED
from mnistkit.progress import Step, listening
from mnistkit.runs import Run, RunState, utc_now

if TYPE_CHECKING:  # loads numpy
    from mnistkit.dataset import Dataset
    from mnistkit.jobs import Job
    from mnistkit.trainer import Trainer

__all__ = ["fetched", "train_all"]

_PAUSE_SECONDS = 0.1
_GRACE_SECONDS = 1.0
_LOG_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


def fetched(trainer: Trainer) -> Dataset:
    """The trainer's data, fetched with a progress bar."""
    with _showing_downloads():
        return trainer.dataset()


def train_all(trainer: Trainer, jobs: Iterable[Job], parallel: int | None = None) -> tuple[Run, ...]:
    """Submit jobs, at most ``parallel`` at a time, and show them until all have ended.

    Ctrl-C cancels them and ends the program: a fit that is going on in this process can't be interrupted otherwise.
    """
    waiting, runs = deque(jobs), list[Run]()
    with _view(runs, waiting) as refresh:
        try:
            while waiting or _active(runs):
                while waiting and (parallel is None or len(_active(runs)) < parallel):
                    runs.append(trainer.submit(waiting.popleft()))
                    output.note(f"Run {runs[-1].id} is submitted.")
                time.sleep(_PAUSE_SECONDS)
                for run in _active(runs):
                    run.refresh()
                refresh()
        except KeyboardInterrupt:
            interrupted = True
        else:
            interrupted = False
    if interrupted:
        _leave(runs)
    return tuple(runs)


def _active(runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if not run.state.is_terminal]


def _leave(runs: Iterable[Run]) -> NoReturn:
    going = _active(runs)
    for run in going:
        run.cancel()
    output.complain(f"canceled {', '.join(f'run {run.id}' for run in going) or 'nothing'}.", "Interrupted")
    deadline = time.monotonic() + _GRACE_SECONDS
    while _active(going) and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
        for run in _active(going):
            run.refresh()
    if _active(going):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # the thread that fits would keep the process; its run shows as Canceled from now on
    raise typer.Exit(INTERRUPTED)


@contextmanager
def _view(runs: list[Run], waiting: deque[Job]) -> Iterator[Callable[[], None]]:
    """Show the runs below whatever else is printed; what it yields draws them anew."""
    if not output.is_live():
        yield lambda: None
        return
    # No thread of its own refreshes it: rich mixes up what two threads print. And runs redirect the streams as well.
    live = Live(
        get_renderable=_RunsView(runs, waiting).render,
        console=output.error_console(),
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with live:
        yield live.refresh


class _RunsView:
    """A line per run that is going on: state, time, and the last line of its log."""

    def __init__(self, runs: list[Run], waiting: deque[Job]) -> None:
        self._runs = runs
        self._waiting = waiting
        self._spinner = Spinner("dots")

    def render(self) -> RenderableType:
        going = [run for run in _active(self._runs) if run.state is not RunState.QUEUED]
        lines = [self._line(run) for run in going]
        queued = len(_active(self._runs)) - len(going) + len(self._waiting)
        if len(self._runs) + len(self._waiting) > 1:
            done = len(self._runs) - len(_active(self._runs))
            lines.append(Text(f"{done} done, {len(going)} going, {queued} waiting", "dim"))
        self._spinner.update(text=Group(*lines) if lines else Text("Queued"))
        return self._spinner

    def _line(self, run: Run) -> Text:
        elapsed = output.duration(run.record.created_at, utc_now())
        last = _LOG_TIME.sub("", run.logs().rstrip().rpartition("\n")[2])
        which = f"{run.id}  " if len(self._runs) > 1 else ""
        line = Text.assemble(which, (f"{run.state!s:<9} ", "bold cyan"), f"{elapsed:>7}  ", (output.safe(last), "dim"))
        line.no_wrap, line.overflow = True, "ellipsis"
        return line


@contextmanager
def _showing_downloads() -> Iterator[None]:
    if not output.is_live():
        with listening(_Announcer()):
            yield
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bars = Progress(
        *columns, console=output.error_console(), transient=True, redirect_stdout=False, redirect_stderr=False
    )
    with bars, listening(_Bars(bars)):
        yield


class _Announcer:
    """Says once that a task goes on."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, step: Step) -> None:
        if step.task not in self._known:
            self._known.add(step.task)
            output.note(f"Fetching {step.task}")


class _Bars:
    """A bar per task."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: Step) -> None:
        if step.task not in self._tasks:
            self._tasks[step.task] = self._progress.add_task(output.safe(step.task), total=step.total)
        task = self._tasks[step.task]
        self._progress.update(task, completed=step.done, total=step.total, visible=not step.finished)
