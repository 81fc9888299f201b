"""Progress of long work: bars for downloads, and runs until they have finished."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer

from mnistkit.cli import output
from mnistkit.cli.command import INTERRUPTED
from mnistkit.cli.live import shown
from mnistkit.runs.backend import SupportsStart
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.runs.submission import OnUpdate, running
from mnistkit.utils.progress import Step, listening

if TYPE_CHECKING:  # loads numpy
    from rich.progress import Progress, TaskID

    from mnistkit.data.dataset import Dataset
    from mnistkit.trainer.trainer import Trainer

__all__ = ["fetched", "showing_progress", "wait_for", "watching"]

_PAUSE_SECONDS = 0.1
_GRACE_SECONDS = 1.0


def fetched(trainer: Trainer) -> Dataset:
    """Return the trainer's data, fetched with a progress bar; meanwhile the backend starts its processes."""
    if isinstance(trainer.compute, SupportsStart):
        trainer.compute.start()
    with showing_progress("Fetching"):
        return trainer.dataset()


class _Waiting:
    """The number of jobs that aren't submitted yet."""

    def __init__(self) -> None:
        self.n = 0

    def __len__(self) -> int:
        return self.n


@contextmanager
def watching(hint: str = "") -> Iterator[OnUpdate]:
    """Yield an ``on_update`` that shows runs; on Ctrl-C print which were canceled, and end the program.

    Ending it is needed: a fit on a thread of this process can't be interrupted otherwise.

    Args:
        hint: What to do next after Ctrl-C.
    """
    runs: list[Run] = []
    waiting = _Waiting()
    try:
        with shown(runs, waiting) as show:

            def update(seen: Sequence[Run], n_waiting: int) -> None:
                known = {run.id for run in runs}
                for run in seen:
                    if run.id not in known:
                        runs.append(run)  # first: Ctrl-C may come right after the note
                        output.note(f"Submitted run {run.id}.")
                waiting.n = n_waiting
                show()

            yield update
    except KeyboardInterrupt:  # the trainer has canceled them
        _leave(runs, hint)


def wait_for(run: Run, timeout: float | None) -> None:
    """Show a run until it has finished, however it ended.

    Args:
        run: Of any process.
        timeout: The maximum number of seconds to wait; None for no limit.

    Raises:
        RunTimeoutError: It hasn't finished by then.
    """
    with shown([run]) as show:
        for _ in run.poll(timeout):
            show()


def _leave(runs: list[Run], hint: str) -> NoReturn:
    finished = {RunState.COMPLETED, RunState.FAILED}
    canceled = ", ".join(f"run {run.id}" for run in runs if run.state not in finished) or "nothing"
    output.complain(f"canceled {canceled}. {hint}".rstrip(), "Interrupted")
    deadline = time.monotonic() + _GRACE_SECONDS
    while running(runs) and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
        for run in running(runs):
            run.refresh()
    if running(runs):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # the thread that fits would keep the process; its run shows as Canceled from now on
    raise typer.Exit(INTERRUPTED)


@contextmanager
def showing_progress(verb: str) -> Iterator[None]:
    """Show a bar for each task that the library reports in the block; without a terminal, a line for each.

    Args:
        verb: What is being done, such as ``"Fetching"``.
    """
    if not output.is_live():
        with listening(_Announcer(verb)):
            yield
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bars = Progress(
        *columns, console=output.error_console(), transient=True, redirect_stdout=False, redirect_stderr=False
    )
    with bars, listening(_Bars(bars)):
        yield


class _Announcer:
    """Prints a line when a task starts."""

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
