"""Work on blocks of rows, on threads that don't multiply with those of the linear algebra."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar, cast

__all__ = ["blocks", "for_each", "in_order", "one_blas_thread", "thread_count"]

Part = TypeVar("Part")
Value = TypeVar("Value")


def thread_count(n_jobs: int | None) -> int:
    """Return the number of threads for ``n_jobs``: None is one per core, negative numbers count as in joblib."""
    from joblib import cpu_count, effective_n_jobs

    return int(cpu_count() if n_jobs is None else effective_n_jobs(n_jobs))


def one_blas_thread() -> AbstractContextManager[object]:
    """Return a context in which each of our threads computes its products alone."""
    from threadpoolctl import threadpool_limits

    return cast("AbstractContextManager[object]", threadpool_limits(1, user_api="blas"))


def blocks(n: int, size: int) -> list[tuple[int, int]]:
    """Return ``(start, stop)`` of blocks that cover 0 to n, each of ``size`` but the last."""
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def in_order(work: Callable[[Part], Value], parts: Sequence[Part], n_threads: int) -> Iterator[Value]:
    """Yield ``work(part)`` for each part, in the order of the parts.

    The order doesn't depend on the threads: neither does a sum of what is yielded. At most ``n_threads + 1`` results
    exist at once, so that memory doesn't grow with the number of parts.
    """
    if n_threads == 1 or len(parts) == 1:  # a thread costs more than a single row's prediction
        yield from map(work, parts)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        pending: deque[Future[Value]] = deque()
        for part in parts:
            pending.append(pool.submit(work, part))
            if len(pending) > n_threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def for_each(work: Callable[[Part], object], parts: Sequence[Part], n_threads: int) -> None:
    """Call ``work(part)`` for each part, and return once all are done."""
    for _ in in_order(work, parts, n_threads):
        pass
