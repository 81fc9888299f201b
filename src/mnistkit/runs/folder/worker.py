"""The program that carries out runs on this machine: ``python -m mnistkit.runs.folder.worker``."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys

from mnistkit.runs.folder.worker_start import TRAIN

__all__ = ["main"]


def main() -> None:
    """Carry out orders from standard input until it ends; see `mnistkit.runs.folder.dispatcher`."""
    from mnistkit.runs.folder.dispatcher import Dispatcher

    # Standard output is for reports alone: what anything prints belongs in the log, and jobs don't inherit the pipe.
    reports = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    gc.disable()  # imports make no garbage, and each collection would go through all of them
    _import_ahead()
    gc.freeze()
    gc.enable()
    Dispatcher(sys.stdin.fileno(), reports).run()
    # The program waits for the end of this process, and nothing that was imported needs to be taken apart.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(0)


def _import_ahead() -> None:
    """Import what takes long: the runs are forked from this process, and find it there."""
    import joblib  # noqa: F401
    import psutil  # noqa: F401
    import sklearn.linear_model
    import sklearn.multiclass
    import sklearn.pipeline  # noqa: F401
    import skops.io  # noqa: F401
    import threadpoolctl  # noqa: F401

    import mnistkit.estimators
    import mnistkit.models.persistence  # noqa: F401

    importlib.import_module(TRAIN.partition(":")[0])


if __name__ == "__main__":
    main()
