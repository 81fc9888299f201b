"""One model fitted on rows that lie on a Dask cluster, next to one process that reads the same files.

The data is MNIST, shifted and slanted at random, as many times as are needed; it is made for the benchmark and
removed after it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from clusters import PeakMemory, dask_cluster
from distributed import Client
from harness import Result, compare, seconds, timed

from data import mnist, moved
from mnistkit.dask import DaskRows
from mnistkit.data.idx import write_idx
from mnistkit.estimators import FastLogisticRegression, FileRows, RowBlocks
from mnistkit.estimators.joined_rows import JoinedRows
from mnistkit.estimators.objectives import Multinomial
from mnistkit.estimators.parallel import one_blas_thread
from mnistkit.estimators.passes import Passes, Problem, passes_over, threads

__all__ = ["long_results", "results"]

_N_WORKERS = 2
_RATE = 0.8
_PART_ROWS = 60_000
_LONG_ROWS = 8_100_000
_LONG_PASSES = 3
_COLUMNS = 10


def results(*, quick: bool) -> Iterator[Result]:
    """A pass over 60,000 and over 2 million rows: in the memory of two workers, or of one process on two threads."""
    for n in (6_000, 30_000) if quick else (60_000, 2_000_000):
        with _data(n) as (files, y), _rows(files, in_memory=True) as (rows, _):
            yield _passes(files, rows, y, n=3 if quick or n > _PART_ROWS else 21)


def long_results(*, quick: bool) -> Iterator[Result]:
    """A pass over 8.1 million rows in files, on two workers and in one process, and a whole fit on the workers."""
    n = _PART_ROWS if quick else _LONG_ROWS
    with _data(n) as (files, y), _rows(files, in_memory=False) as (rows, pids):
        yield _passes(files, rows, y, n=_LONG_PASSES)
        model = FastLogisticRegression(C=1 / _RATE, random_state=0)
        load = os.getloadavg()[0]
        with PeakMemory(pids) as memory:
            taken = timed(lambda: model.fit(rows, y))
        label = (
            f"DaskRows, two workers: {model.objective_:.1f} after {model.n_iter_[0]} steps, peak memory of all "
            f"processes {memory.bytes / 2**20:.0f} MiB, load before {load:.1f}"
        )
        yield Result(what=f"{n:,} rows in files, to convergence", a="", b=label, a_seconds=(), b_seconds=(taken,))


def _passes(files: Sequence[Path], rows: DaskRows, y: Any, *, n: int) -> Result:
    """Products with the Hessian, and how long a round trip takes in which nothing is computed."""
    with one_blas_thread(), threads(_N_WORKERS) as run:
        local, remote = (_Pass(passes_over(_problem(each, y), run)) for each in (_joined(files), rows))
        with contextlib.closing(remote.passes):
            result = compare(
                f"a pass over {rows.n_rows:,} rows",
                ("FileRows, 2 threads", local),
                ("", remote),
                n=n,
            )
            trips = [timed(lambda: rows.take(np.arange(1))) for _ in range(11)]
    label = f"DaskRows, 2 workers; a round trip takes {seconds(tuple(trips))}"
    return Result(
        what=result.what, a=result.a, b=label, a_seconds=result.a_seconds, b_seconds=result.b_seconds,
        others=result.others,
    )  # fmt: skip


class _Pass:
    """A product of the Hessian at 0 with a direction, as a Newton step takes many."""

    def __init__(self, passes: Passes) -> None:
        self.passes = passes
        self._P, self._XS = passes.field(), passes.field()
        passes.value(passes.field(), passes.zeros(), self._P)
        self._S = np.random.default_rng(0).normal(size=passes.zeros().shape)

    def __call__(self) -> Any:
        return self.passes.hessian_times(self._P, self._S, self._XS)


def _problem(rows: RowBlocks, y: Any) -> Problem:
    return Problem(
        rows=rows, labels=y, weights=None, objective=Multinomial(), columns=_COLUMNS, penalty=_RATE, intercept=True,
        intercept_penalty=0.0,
    )  # fmt: skip


def _joined(files: Sequence[Path]) -> RowBlocks:
    parts = [FileRows(path) for path in files]
    return JoinedRows([(part, 0, part.n_rows) for part in parts])


@contextlib.contextmanager
def _rows(files: Sequence[Path], *, in_memory: bool) -> Iterator[tuple[DaskRows, Sequence[int]]]:
    """Yield the files' rows on a cluster, and its processes."""
    with (
        tempfile.TemporaryDirectory(prefix="mnistkit-") as name,
        dask_cluster(Path(name), _N_WORKERS) as cluster,
        Client(cluster.address, set_as_default=False) as client,
        DaskRows(client, files, in_memory=in_memory) as rows,
    ):
        yield rows, cluster.pids


@contextlib.contextmanager
def _data(n: int) -> Iterator[tuple[Sequence[Path], Any]]:
    """Yield files of so many rows, and their labels."""
    dataset = mnist().train
    with tempfile.TemporaryDirectory(prefix="mnistkit-rows-") as name:
        files = []
        for number, start in enumerate(range(0, n, _PART_ROWS)):
            files.append(Path(name, f"images-{number}"))
            write_idx(files[-1], moved(dataset.images[: n - start], seed=number))
        yield files, np.resize(dataset.labels, n)
