"""Waiting at the exit of the interpreter: one list of what must end before it, and one place that works through it."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import thread as _thread_pools  # noqa: F401 - registers its own exit call
from operator import itemgetter

__all__ = ["finish_at_exit"]

_log = logging.getLogger(__name__)

_lock = threading.Lock()
_owners: weakref.WeakKeyDictionary[object, tuple[int, Callable[..., object]]] = weakref.WeakKeyDictionary()
_count = 0


def finish_at_exit(owner: object, finish: Callable[..., object]) -> None:
    """Call ``finish(owner)`` when the interpreter is about to exit, unless ``owner`` has been collected by then.

    Threads and thread pools still take work then. Owners are finished in the order in which they came, and once more
    after the functions that others registered with `atexit`, which may have given them more to do: ``finish`` must be
    idempotent. One that raises is logged, and the others are finished all the same. A forked process finishes nothing
    of its parent's.

    Args:
        owner: Has something to wait for. Weakly referenced; a second call replaces the first.
        finish: Waits for it. Must not refer to ``owner``, which would never be collected: pass a function, or
            ``Owner.method``, no bound method.
    """
    global _count  # noqa: PLW0603 - a process exits once
    with _lock:
        _count += 1
        _owners[owner] = (_count, finish)


def _finish_all() -> None:
    with _lock:
        waiting = sorted([(number, owner, finish) for owner, (number, finish) in _owners.items()], key=itemgetter(0))
    for _, owner, finish in waiting:
        try:
            finish(owner)
        except KeyboardInterrupt:
            _log.warning("Interrupted while waiting for %r at exit.", owner)
        except Exception:  # noqa: BLE001 - the others wait for their turn
            _log.exception("could not wait for %r at exit", owner)


def _forget() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it when this process was forked
    _lock = threading.Lock()
    _owners.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

atexit.register(_finish_all)
# Thread pools, which backends work with, refuse work before `atexit` calls anything. There is no public way to be
# called earlier. The pools' own call is registered as they are imported; the last one registered is called first.
with contextlib.suppress(AttributeError, RuntimeError):  # no such function, or the exit has begun
    threading._register_atexit(_finish_all)  # type: ignore[attr-defined]  # noqa: SLF001 - see above
