"""Rows that lie on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.dask.cluster import RowsCluster
from mnistkit.dask.parts import as_part, scale_of
from mnistkit.dask.passes import DaskPasses
from mnistkit.dask.placing import Share
from mnistkit.dask.views import RowsView
from mnistkit.errors import UsageError
from mnistkit.estimators.passes import Passes, Problem, Run
from mnistkit.estimators.rows import BlockSums, RowBlocks

__all__ = ["DaskRows"]

Array = NDArray[Any]


class DaskRows(RowBlocks):
    """Rows that lie on the workers of a Dask cluster, for fits on more data than one machine holds.

    ``FastLogisticRegression``, ``NystroemRidgeClassifier`` and ``AccurateClassifier`` of `mnistkit.estimators` are
    fitted on them: ``classifier.fit(rows, rows.labels)``. Each worker passes over its rows; what travels are
    coefficients and sums, one round trip a pass. A logistic regression has the same coefficients, to the last bit, as
    on the same rows in one process, however many workers there are, if they have the same libraries and the same kind
    of processor; the others to rounding. When a worker is lost, its rows are loaded on the others, and what it had
    computed is computed again: the result is the same.

    Rows are loaded once, and stay on the workers for further fits and for `mnistkit.dask.evaluate_rows`, until `close`,
    the end of a ``with`` block, or the end of the program, whatever ended it.

    Args:
        client: A ``distributed.Client``.
        parts: The rows, one part after another, with as many columns each. A part is the path of an IDX file in a
            folder that all workers see (of a plain one a worker reads only its rows); an array ``(n, h, w)`` or
            ``(n, d)``, ``uint8``, ``float32`` or ``float64``; a pair of one of these and its labels, an IDX file or an
            array ``(n,)``; or a function without arguments that returns an array or a pair of arrays. It is called on a
            worker, and again on another one if that is lost; `functools.partial` makes one for each part's number.
        scale: What the values are multiplied by; None for 1/255 of bytes, and 1 of floats.
        in_memory: Hold the rows in the workers' memory. False reads them anew on each pass: from the parts' plain IDX
            files, and others from IDX files in the worker's local folder.
        threads: How many threads of each worker pass over the rows; None for as many as it has for tasks.

    Attributes:
        n_rows: The number of rows.
        n_columns: The number of columns.
        image_shape: ``(h, w)`` where the parts are images; else None.
        scale: What the stored values are multiplied by.
        dtype: The floating type that they are computed in.

    Raises:
        UsageError: There is no part, or something isn't one.
        DataFormatError: A part isn't what it should be, or differs from the others; the message has its number.
        NotFoundError: A worker doesn't see a file.
        ServiceError: The cluster has no worker, or its scheduler doesn't respond.
    """

    def __init__(
        self,
        client: Any,
        parts: Iterable[Any],
        *,
        scale: float | None = None,
        in_memory: bool = True,
        threads: int | None = None,
    ) -> None:
        """Describe the parts: functions are called for that, on the workers, and their rows stay there."""
        if isinstance(parts, (str, bytes)):
            raise UsageError(f"parts={parts!r:.80}: give a list of parts.")
        if threads is not None and threads < 1:
            raise UsageError(f"threads={threads}: use at least one thread per worker.")
        given = [as_part(part) for part in parts]
        if not given:
            raise UsageError("There are no parts: give at least one.")
        options = {"in_memory": in_memory, "scale": scale, "threads": threads}
        self._cluster = RowsCluster(client, given, options)
        shape, self._stored = self._cluster.infos[0].row_shape, np.dtype(self._cluster.infos[0].dtype)
        self.n_rows, self.n_columns = self._cluster.n_rows, int(np.prod(shape))
        self.image_shape = (shape[0], shape[1]) if len(shape) == 2 else None  # noqa: PLR2004 - (h, w)
        self.dtype = self._stored if self._stored.kind == "f" else np.dtype(np.float32)
        self.scale = scale_of(self._stored, scale)

    def __repr__(self) -> str:
        """Return the size, and the number of parts."""
        return f"<DaskRows of {len(self._cluster.infos)} parts: {self.n_rows} x {self.n_columns} {self._stored}>"

    @property
    def labels(self) -> Array:
        """The labels of the parts, ``(n,)``, in the order of the rows.

        Raises:
            UsageError: A part has none.
        """
        labels = [info.labels for info in self._cluster.infos]
        if missing := [number for number, each in enumerate(labels) if each is None]:
            raise UsageError(f"Part {missing[0]} has no labels: give pairs of images and labels, or labels to fit.")
        return np.concatenate([each for each in labels if each is not None])

    def close(self) -> None:
        """Free the rows on the workers; idempotent. They can't be used any more."""
        self._cluster.close()

    def __enter__(self) -> DaskRows:  # noqa: PYI034 - typing.Self came with Python 3.11
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def passes(self, problem: Problem, run: Run) -> Passes:
        """Return passes that the workers make, for an estimator; see `RowBlocks`."""
        return DaskPasses(problem, run, self._cluster)

    def block(self, start: int, stop: int, buffer: NDArray[np.floating]) -> NDArray[np.floating]:
        """Fetch rows from the workers; see `RowBlocks.block`."""
        np.copyto(buffer[: stop - start], self.take(np.arange(start, stop)))
        return buffer[: stop - start]

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.generic]:
        """Fetch rows from the workers; see `RowBlocks.take`."""
        rows = np.asarray(rows)
        taken = np.empty((len(rows), self.n_columns), self._stored)

        def arguments(share: Share) -> tuple[Any, ...] | None:
            here = _within(rows, share)
            return (rows[here],) if len(here) else None

        for share, found in self._cluster.on_shares("take", arguments):
            taken[_within(rows, share)] = found
        return taken

    def select(self, numbers: NDArray[np.intp]) -> RowBlocks:
        """Return some rows, which stay on the workers; see `RowBlocks.select`."""
        return RowsView(self._cluster, self, selected=np.asarray(numbers))

    def transform(self, function: Callable[[Array], Array], n_columns: int) -> RowBlocks:
        """Return features that the workers compute; see `RowBlocks.transform`."""
        return RowsView(self._cluster, self, transform=(function, n_columns))

    def in_memory(self, max_bytes: int, n_threads: int) -> RowBlocks:  # noqa: ARG002 - of rows that are here
        """Return itself: the rows stay on the workers."""
        return self

    def sums(self, work: BlockSums, values: Array, block_rows: int, n_threads: int) -> Iterator[tuple[Array, ...]]:
        """Yield the sums over each worker's rows; see `RowBlocks.sums`."""
        return RowsView(self._cluster, self).sums(work, values, block_rows, n_threads)

    def fill(self, work: Callable[[Array], Array], out: Array, block_rows: int, n_threads: int) -> None:
        """Compute something for each row on the workers; see `RowBlocks.fill`."""
        RowsView(self._cluster, self).fill(work, out, block_rows, n_threads)


def _within(rows: Array, share: Share) -> Array:
    return np.flatnonzero((rows >= share.start) & (rows < share.stop))
