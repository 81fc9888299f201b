"""Features of rows on a cluster, or some of the rows, where they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.dask.cluster import RowsCluster
from mnistkit.dask.host import View
from mnistkit.dask.placing import Share
from mnistkit.estimators.rows import BlockSums, RowBlocks, SelectedRows, TransformedRows

__all__ = ["RowsView"]

Array = NDArray[Any]
Transform = tuple[Callable[[Array], Array], int]


class RowsView(RowBlocks):
    """Rows, their features, or some of either: computed on the workers, or here where blocks of them are read."""

    def __init__(
        self, cluster: RowsCluster, rows: RowBlocks, transform: Transform | None = None, selected: Array | None = None
    ) -> None:
        """Look at rows.

        Args:
            cluster: Has them.
            rows: The same rows, to be read here.
            transform: As `RowBlocks.transform` takes it; None for the rows as they are.
            selected: Numbers of rows; None for all.
        """
        here = rows if transform is None else TransformedRows(rows, *transform)
        here = here if selected is None else SelectedRows(here, selected)
        self.n_rows, self.n_columns = here.n_rows, here.n_columns
        self.scale, self.dtype, self.image_shape = here.scale, here.dtype, here.image_shape
        self._cluster, self._rows, self._here = cluster, rows, here
        self._transform, self._selected = transform, selected

    def block(self, start: int, stop: int, buffer: NDArray[np.floating]) -> NDArray[np.floating]:
        """Fetch rows; see `RowBlocks.block`."""
        return self._here.block(start, stop, buffer)

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.generic]:
        """Fetch rows; see `RowBlocks.take`."""
        return self._here.take(rows)

    def select(self, numbers: NDArray[np.intp]) -> RowBlocks:
        """Return some rows, which stay on the workers; see `RowBlocks.select`."""
        selected = numbers if self._selected is None else self._selected[numbers]
        return RowsView(self._cluster, self._rows, self._transform, selected)

    def in_memory(self, max_bytes: int, n_threads: int) -> RowBlocks:  # noqa: ARG002 - of rows that are here
        """Return itself: the rows stay on the workers."""
        return self

    def sums(self, work: BlockSums, values: Array, block_rows: int, n_threads: int) -> Iterator[tuple[Array, ...]]:  # noqa: ARG002 - of this process
        """Yield the sums over each worker's rows; see `RowBlocks.sums`."""

        def arguments(share: Share) -> tuple[Any, ...] | None:
            places, view = self._of(share)
            return ((share.start, share.stop), view, work, values[places], block_rows) if view is not None else None

        for _, found in self._cluster.on_shares("sums", arguments, block_rows):
            yield tuple(found)

    def fill(self, work: Callable[[Array], Array], out: Array, block_rows: int, n_threads: int) -> None:  # noqa: ARG002 - of this process
        """Compute something for each row on the workers; see `RowBlocks.fill`."""

        def arguments(share: Share) -> tuple[Any, ...] | None:
            _, view = self._of(share)
            return ((share.start, share.stop), view, work, out[:0], block_rows) if view is not None else None

        for share, found in self._cluster.on_shares("fill", arguments, block_rows):
            out[self._of(share)[0]] = found

    def _of(self, share: Share) -> tuple[Any, View | None]:
        """Return where our rows of a share lie among ours, and the view of them; no view if there is none."""
        if self._selected is None:
            return slice(share.start, share.stop), View(self._transform)
        places = np.flatnonzero((self._selected >= share.start) & (self._selected < share.stop))
        view = View(self._transform, self._selected[places] - share.start) if len(places) else None
        return places, view
