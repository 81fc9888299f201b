"""Carry out run folders that are there already, in processes of their own: for backends that were sent them."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence

import attrs

from mnistkit.data.fetching import DataFolder
from mnistkit.runs.folder.child import Limits
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.folder.variables import job_environment
from mnistkit.runs.folder.worker_process import Worker
from mnistkit.runs.folder.worker_start import TRAIN
from mnistkit.runs.record import RunRecord
from mnistkit.utils.interpreter import search_path

__all__ = ["carry_out"]

_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.01, 0.2


def carry_out(
    store: RunStore,
    run_ids: Sequence[str],
    data: DataFolder,
    limits: Limits,
    *,
    variables: Mapping[str, str] | None = None,
    train: str = TRAIN,
    on_poll: Callable[[], object] | None = None,
) -> tuple[RunRecord, ...]:
    """Bring existing runs to their ends, one after another; return their records. May be called from any thread.

    A process that this one starts once, and that has imported what training needs, forks a supervisor for them. Each
    gets as many attempts as its job allows, its ``timeout``, and a capped log; see
    `mnistkit.runs.folder.supervisor.supervise`. `RunStore.request_cancel` cancels one of them. An exception in this
    thread, such as KeyboardInterrupt, ends them all, and so does the end of this process. When this returns, nothing
    that they started is left.

    Args:
        store: Holds the run folders, such as those that `mnistkit.runs.folder.packing.unpack` wrote.
        run_ids: Runs that haven't finished. Several must be training jobs of one group.
        data: Their data, on this machine.
        limits: What each of them may use.
        variables: Environment variables of the runs; None for those of this process that a job gets.
        train: Carries out a training job, as ``"module:function"``.
        on_poll: Called several times a second while they run. Whatever it raises ends them, and is raised.

    Raises:
        RunNotFoundError: The store has no such run.
        StorageError: The folder can't be written.
    """
    root = store.ensured()
    for run_id in run_ids:
        store.folder(run_id)
    first, worker = run_ids[0], Worker.shared(root)
    worker.send(
        submit={
            "runs": list(run_ids),
            "root": str(root),
            "group": uuid.uuid4().hex,
            "parallel": 1,
            "detach": False,
            "grace": limits.grace,
            "memory": limits.memory,
            "variables": job_environment(os.environ) if variables is None else dict(variables),
            "path": search_path(),
            "train": train,
            "threads": limits.threads,
            "reports": True,
        }
    )
    try:
        worker.send(data={"run": first, "folder": attrs.asdict(data)})
        _wait(worker, first, on_poll)
    except BaseException:
        worker.send(end={"run": first})
        _wait(worker, first, None)
        raise
    return tuple(Worker.completed(store.read(run_id)) for run_id in run_ids)


def _wait(worker: Worker, first: str, on_poll: Callable[[], object] | None) -> None:
    """Wait until nothing is left of an order, or of the process that carries it out."""
    pause = _MIN_PAUSE_SECONDS
    while not worker.is_done(first):
        time.sleep(pause)
        pause = min(pause * 1.3, _MAX_PAUSE_SECONDS)
        if on_poll is not None:
            on_poll()
