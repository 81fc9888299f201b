"""The start of the process that trains, before the command line itself is imported."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["start_ahead"]

_TRAINING_COMMANDS = frozenset({"sweep", "train"})
_OPTIONS_WITHOUT_TRAINING = frozenset({"--explain", "--help", "-h"})


def start_ahead(arguments: Sequence[str]) -> None:
    """Start the process that will carry out the runs, if these arguments train in processes of this machine.

    It imports scikit-learn while this process imports the command line and reads the data. Nothing is written, and the
    process is ended if the command turns out not to need it.

    Args:
        arguments: Those of the program.
    """
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    if command not in _TRAINING_COMMANDS or _OPTIONS_WITHOUT_TRAINING.intersection(arguments):
        return
    from mnistkit.config import find_config
    from mnistkit.errors import MnistkitError

    try:
        backend = find_config().compute["backend"]
    except (MnistkitError, OSError):  # the command says so
        return
    if backend == "process":
        from mnistkit.runs.folder.worker_start import start_ahead as start

        start()
