"""The child process of a supervisor: what runs in it, and how it reports."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mnistkit.data.dataset import Dataset
from mnistkit.data.fetching import DataFolder, read_dataset
from mnistkit.estimators.warm_start import new_warm_start
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.runs.context import FolderContext, RunContext, Stopped, using_context
from mnistkit.runs.folder import processes
from mnistkit.runs.folder.lifecycle import RunLifecycle
from mnistkit.runs.folder.scripts import execute_script
from mnistkit.runs.folder.snapshot import CODE
from mnistkit.runs.record import RunState
from mnistkit.utils.redaction import redacted

if TYPE_CHECKING:  # loads scikit-learn
    from mnistkit.estimators import WarmStart

__all__ = ["Limits", "StatusPipe", "Train", "body", "import_train"]

Train = Callable[[TrainingJob, Dataset, RunContext, "WarmStart | None"], object]
"""Carries out a training job: `mnistkit.training.train`, which stands above this room."""


@frozen(kw_only=True)
class Limits:
    """Limits for the processes of a job.

    Attributes:
        grace: Seconds between SIGTERM and SIGKILL.
        memory: Bytes of address space that each process may have; None for no limit.
        threads: Maximum number of threads of numeric libraries.
    """

    grace: float = 3.0
    memory: int | None = None
    threads: int = 1


class StatusPipe:
    """The child's ends of two pipes: one to report states and results on, one to read from which run is next."""

    def __init__(self, status: int, commands: int, *, closing: int) -> None:
        """Take the ends.

        Args:
            status: To write to.
            commands: To read from.
            closing: The parent's end of ``commands``, which the child must close to notice that the parent has.
        """
        self._status = status
        self._commands = commands
        self._closing = closing

    @staticmethod
    def parsed(line: bytes) -> dict[str, Any]:
        """Return the message of a line; for the parent."""
        message: dict[str, Any] = json.loads(line)
        return message

    def send(self, **message: object) -> None:
        """Report a state (``state=...``), or a result: ``stopped=True``, ``error`` and ``traceback``, or nothing."""
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._status, data) :]

    def close_other_end(self) -> None:
        """Close the parent's end of the commands, in the child: processes that a job starts would keep it open."""
        os.close(self._closing)

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of the runs to start, each when the parent sends it, until the parent closes the pipe."""
        text = b""
        while chunk := os.read(self._commands, 64):
            *lines, text = (text + chunk).split(b"\n")
            yield from map(int, lines)


def body(
    runs: Sequence[RunLifecycle], data: DataFolder, limits: Limits, pipe: StatusPipe, train: Train
) -> Callable[[], None]:
    """Return what the child does: become the script, or train for one run after another as the parent says."""

    def run() -> None:
        pipe.close_other_end()
        processes.limit_memory(limits.memory)
        if isinstance(runs[0].job, ScriptJob):
            execute_script(runs[0].job, Path(data.path), runs[0].folder, processes.thread_variables(limits.threads))
        processes.limit_threads(limits.threads)
        _log_to_stderr()
        path = new_warm_start(len(runs))
        _train(runs[0], data, pipe, path, train)
        for number in pipe.numbers():
            _train(runs[number], data, pipe, path, train)

    return run


def import_train(path: str) -> Train:
    """Return the function that carries out training jobs, from its ``"module:function"``."""
    module, _, function = path.partition(":")
    train: Train = getattr(importlib.import_module(module), function)
    return train


def _log_to_stderr() -> None:
    faulthandler.enable()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("mnistkit.run")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _train(run: RunLifecycle, data: DataFolder, pipe: StatusPipe, path: WarmStart | None, train: Train) -> None:
    job, context = run.job, FolderContext(run.folder)
    assert isinstance(job, TrainingJob)  # noqa: S101 - no group holds a script
    if context.should_stop:
        pipe.send(stopped=True)
        return
    if (code := run.folder / CODE).is_dir():  # the user's modules: for a machine that lacks them
        sys.path.append(str(code))
    try:
        dataset = read_dataset(data)
        pipe.send(state=RunState.RUNNING.value)
        with using_context(context):
            train(job, dataset, context, path)
        pipe.send(state=RunState.FINALIZING.value)
    except Stopped:
        result: dict[str, object] = {"stopped": True}
    except BaseException as error:  # noqa: BLE001 - SystemExit in training is a failed run too
        text = redacted(traceback.format_exc())
        with contextlib.suppress(Exception):  # the job may have closed it
            sys.stderr.write(text)
        result = {"error": "".join(traceback.format_exception_only(error)).strip(), "traceback": text}
    else:
        result = {}
    for stream in (sys.stdout, sys.stderr):  # before the result: what comes after that is in the next run's log
        with contextlib.suppress(Exception):
            stream.flush()
    pipe.send(**result)
