"""Work that takes a while, as it goes on: bars for downloads, and runs until they have ended."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, Protocol, runtime_checkable

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mnistkit.cli import output
from mnistkit.cli.command import INTERRUPTED
from mnistkit.cli.live import active, shown
from mnistkit.runs.run import Run
from mnistkit.utils.progress import Step, listening

if TYPE_CHECKING:  # loads numpy
    from mnistkit.data.dataset import Dataset
    from mnistkit.jobs.job import Job
    from mnistkit.trainer import Trainer

__all__ = ["fetched", "showing_progress", "train_all", "wait_for"]

_PAUSE_SECONDS = 0.1
_GRACE_SECONDS = 1.0


@runtime_checkable
class _StartsAhead(Protocol):
    """A backend that can get ready before the first submit."""

    def start(self) -> None: ...


def fetched(trainer: Trainer) -> Dataset:
    """The trainer's data, fetched with a progress bar; meanwhile the backend gets ready."""
    if isinstance(trainer.compute, _StartsAhead):
        trainer.compute.start()
    with showing_progress("Fetching"):
        return trainer.dataset()


def train_all(trainer: Trainer, jobs: Iterable[Job], parallel: int | None = None, hint: str = "") -> tuple[Run, ...]:
    """Submit jobs, at most ``parallel`` at a time, and show them until all have ended.

    Ctrl-C cancels them and ends the program: a fit that is going on in this process can't be interrupted otherwise.
    Then ``hint`` says how to go on.
    """
    waiting, runs = deque(jobs), list[Run]()
    with shown(runs, waiting) as show:
        try:
            while waiting or active(runs):
                free = len(waiting) if parallel is None else parallel - len(active(runs))
                submitted = trainer.submit_all([waiting.popleft() for _ in range(min(free, len(waiting)))])
                runs += submitted
                for run in submitted:
                    output.note(f"Run {run.id} is submitted.")
                time.sleep(_PAUSE_SECONDS)
                for run in active(runs):
                    run.refresh()
                show()
        except KeyboardInterrupt:
            interrupted = True
        else:
            interrupted = False
    if interrupted:
        _leave(runs, hint)
    return tuple(runs)


def wait_for(run: Run, timeout: float | None) -> None:
    """Show a run until it has ended, however it ends.

    Args:
        run: Of any process.
        timeout: Seconds to wait at most; None for ever.

    Raises:
        RunTimeoutError: It hasn't ended by then.
    """
    with shown([run]) as show:
        for _ in run.looks(timeout):
            show()


def _leave(runs: list[Run], hint: str) -> NoReturn:
    going = active(runs)
    for run in going:
        run.cancel()
    canceled = ", ".join(f"run {run.id}" for run in going) or "nothing"
    output.complain(f"canceled {canceled}. {hint}".rstrip(), "Interrupted")
    deadline = time.monotonic() + _GRACE_SECONDS
    while active(going) and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
        for run in active(going):
            run.refresh()
    if active(going):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # the thread that fits would keep the process; its run shows as Canceled from now on
    raise typer.Exit(INTERRUPTED)


@contextmanager
def showing_progress(verb: str) -> Iterator[None]:
    """Show a bar for each task that the library reports while the block runs; without a terminal a line for each.

    Args:
        verb: What is going on, such as ``"Fetching"``.
    """
    if not output.is_live():
        with listening(_Announcer(verb)):
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

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._known: set[str] = set()

    def __call__(self, step: Step) -> None:
        if step.task not in self._known:
            self._known.add(step.task)
            output.note(f"{self._verb} {step.task}")


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
