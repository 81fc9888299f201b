"""Progress reporting: the library emits steps, a user interface subscribes.

Nothing is printed here. The command line subscribes and draws bars; a notebook or a service may do the same::

    with progress.listening(lambda step: print(step.task, step.done, step.total)):
        load_dataset("mnist")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import frozen

__all__ = ["Listener", "Step", "listening", "report"]


@frozen
class Step:
    """One report of progress.

    Attributes:
        task: The task, for people: ``"mnist: train-images-idx3-ubyte.gz"``.
        done: How much is done, in bytes.
        total: How much there is; None if nobody knows.
        finished: True in the last report of a task, also when the task failed.
    """

    task: str
    done: int
    total: int | None = None
    finished: bool = False


Listener = Callable[[Step], None]

_listeners: list[Listener] = []


def report(step: Step) -> None:
    """Tell every listener."""
    for listener in tuple(_listeners):
        listener(step)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call ``listener`` with each `Step` of this process, from whatever thread works, while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
