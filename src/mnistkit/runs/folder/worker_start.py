"""The start of the process that carries out runs, apart from its handle: it can come before much else is imported.

Imports nothing but the standard library, so that a program which is going to train can start that process as its first
act: it then imports scikit-learn while the program imports what it needs itself.
"""

from __future__ import annotations

import atexit
import os
import subprocess
from typing import IO, NamedTuple

from mnistkit.runs.folder.variables import job_environment
from mnistkit.utils.interpreter import library_path, module_command

__all__ = ["TRAIN", "Ahead", "start_ahead", "start_process", "taken_ahead"]

TRAIN = "mnistkit.training:train"
"""The import path of what carries out a training job, for the processes that call it."""

_WORKER = "mnistkit.runs.folder.worker"


class Ahead(NamedTuple):
    """A process that was started before it was known where its runs are kept.

    Attributes:
        process: The process.
        errors: The file without a name that it writes to until it gets the path of its log.
    """

    process: subprocess.Popen[bytes]
    errors: IO[bytes]


_ahead: Ahead | None = None


def start_process(errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the process, which writes its own problems to ``errors``; its orders and reports are pipes."""
    variables = {**job_environment(os.environ), "PYTHONPATH": os.pathsep.join(library_path())}
    return subprocess.Popen(  # noqa: S603 - this very interpreter
        module_command(_WORKER),  # the runs get the whole path: see "path" in an order
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=variables,
        start_new_session=True,
    )


def start_ahead() -> None:
    """Start the process that the first `Worker` of this program takes over; it is ended at exit if none does.

    Nothing is written anywhere. Idempotent.
    """
    import tempfile

    global _ahead  # noqa: PLW0603 - a program has one worker
    if _ahead is not None:
        return
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the process may write to it
    _ahead = Ahead(start_process(errors), errors)
    atexit.register(_end_unused)


def taken_ahead() -> Ahead | None:
    """Return the process that `start_ahead` started, which is the caller's from now on; None if there is none."""
    global _ahead
    ahead, _ahead = _ahead, None
    if ahead is not None:
        atexit.unregister(_end_unused)
    return ahead


def _end_unused() -> None:
    ahead = taken_ahead()
    if ahead is not None:
        ahead.process.terminate()  # it may be importing for a while yet
        ahead.process.wait()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=taken_ahead)  # a forked process forgets it: it is the parent's
