"""Carry out run folders that are there already, in a process of their own: for backends that were sent them."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from mnistkit.data.fetching import DataFolder
from mnistkit.runs.folder import processes
from mnistkit.runs.folder.child import Limits, Train
from mnistkit.runs.folder.scripts import job_environment
from mnistkit.runs.folder.store import WORKER_LOG, RunStore
from mnistkit.runs.folder.supervisor import supervise
from mnistkit.runs.record import RunRecord
from mnistkit.utils.interpreter import library_path, module_command, search_path
from mnistkit.utils.regular import open_below

__all__ = ["carry_out", "main"]

_PAUSE_SECONDS = 0.2
_TRAIN = "mnistkit.training:train"


def carry_out(
    store: RunStore,
    run_ids: Sequence[str],
    data: DataFolder,
    limits: Limits,
    *,
    variables: Mapping[str, str] | None = None,
    train: str = _TRAIN,
) -> tuple[RunRecord, ...]:
    """Bring existing runs to their ends, one after another; return their records. May be called from any thread.

    A supervisor process takes the runs over, and each gets as many attempts as its job allows, its ``timeout``, and a
    capped log; see `mnistkit.runs.folder.supervisor.supervise`. `RunStore.request_cancel` cancels one of them.
    An exception in this thread, such as KeyboardInterrupt, ends them all, and so does the end of this process.

    Args:
        store: Holds the run folders, such as those that `mnistkit.runs.folder.packing.unpack` wrote.
        run_ids: Runs that haven't finished. Several must be training jobs of one group.
        data: Their data, on this machine.
        limits: What each of them may use.
        variables: Environment variables of the runs; None for those of this process that a job gets.
        train: Carries out a training job, as ``"module:function"``.

    Raises:
        RunNotFoundError: The store has no such run.
        StorageError: The folder can't be written.
    """
    root = store.ensured()
    for run_id in run_ids:
        store.folder(run_id)
    given = job_environment(os.environ) if variables is None else dict(variables)
    order = {"root": str(root), "runs": list(run_ids), "data": attrs.asdict(data), "limits": attrs.asdict(limits)}
    order |= {"path": search_path(), "train": train}
    with os.fdopen(open_below(root, WORKER_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as log:
        process = subprocess.Popen(  # noqa: S603 - this very interpreter
            module_command(__name__),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**given, "PYTHONPATH": os.pathsep.join(library_path())},
            cwd=root,
            start_new_session=True,  # Ctrl-C in a terminal is for the caller, who ends it
        )
    try:
        assert process.stdin is not None  # noqa: S101 - it was asked for
        with contextlib.suppress(BrokenPipeError), process.stdin as stream:
            stream.write(json.dumps(order).encode())
        while process.poll() is None:
            processes.wake(process.pid)  # the job may have stopped it
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PAUSE_SECONDS)
    except BaseException:
        process.terminate()
        processes.wake(process.pid)
        process.wait()
        raise
    return tuple(store.read(run_id) for run_id in run_ids)


def main() -> None:
    """Carry out what comes on standard input, as `carry_out` sends it."""
    order = json.load(sys.stdin)
    sys.path[:] = order["path"]  # from here on the user's modules can be imported, such as an estimator of the job's
    module, _, function = order["train"].partition(":")
    train: Train = getattr(importlib.import_module(module), function)
    store, data = RunStore(Path(order["root"])), DataFolder(**order["data"])
    supervise(store, order["runs"], data, Limits(**order["limits"]), train)


if __name__ == "__main__":
    main()
