"""How the cost of the accurate classifier grows with the rows: time, processor time and memory, from a file.

The images are MNIST's, jittered, in an IDX file that is read as `FileRows`. Each fit has a process of its own, for its
peak memory.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from harness import Result, timed

from data import mnist, write_many
from mnistkit.estimators import AccurateClassifier, FileRows

__all__ = ["long_results", "results"]

_MANY_ROWS = 2_000_000


def results(*, quick: bool) -> Iterator[Result]:
    """Twice as many rows each time, with the default options."""
    for n in (2000, 4000) if quick else (125_000, 250_000, 500_000):
        yield _result(n, quick=quick)


def long_results(*, quick: bool) -> Iterator[Result]:
    """Two million rows in a file of 1.6 GB."""
    yield _result(20_000 if quick else _MANY_ROWS, quick=quick)


def _result(n: int, *, quick: bool) -> Result:
    train = mnist(500 if quick else None).train
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
        path = Path(name, "images")
        labels = write_many(path, train.images, train.labels, n)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
            seconds, cpu_seconds, peak = fresh.submit(_fit_file, path, labels).result()
    label = f"{cpu_seconds:.1f} CPU s, {1e6 * cpu_seconds / n:.0f} µs per row, peak memory {peak / 2**20:.0f} MB"
    return Result(what=f"{n:,} rows from a file", a="", b=label, a_seconds=(), b_seconds=(seconds,))


def _fit_file(path: Path, labels: Any) -> tuple[float, float, int]:
    """Seconds, processor seconds of all threads, and this process's peak memory in bytes."""
    model, start = AccurateClassifier(random_state=0), time.process_time()
    seconds = timed(lambda: model.fit(FileRows(path), labels))
    return seconds, time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
