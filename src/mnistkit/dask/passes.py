"""Passes over rows on a cluster: one round trip each, however much is done to fields between two of them."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import numpy as np
from attrs import define
from numpy.typing import NDArray

from mnistkit.dask.cluster import RowsCluster, Tries
from mnistkit.dask.hosts import Lost
from mnistkit.dask.placing import Share
from mnistkit.dask.shard import Operation, ShardSpec
from mnistkit.estimators.group_sums import row_groups
from mnistkit.estimators.passes import Drawn, Passes, Problem, Run

__all__ = ["DaskPasses"]

Array = NDArray[Any]


class _Field:
    """An array ``(n, k)`` on the workers; what is done to it is sent with the next operation that has a result."""

    def __init__(self, passes: DaskPasses) -> None:
        self.number = passes.new_number()
        self._passes = passes

    def __imul__(self, by: Array) -> Any:
        self._passes.queue("multiply", self.number, by)
        return self

    def __iadd__(self, other: _Field) -> Any:
        self._passes.queue("add", self.number, other.number)
        return self

    def __mul__(self, by: Array) -> _Field:
        found = _Field(self._passes)
        self._passes.queue("product", found.number, self.number, by)
        return found

    def __del__(self) -> None:
        self._passes.queue("free", self.number)


@define(eq=False)
class _Placed:
    """A shard on a worker: its share of the rows, its key there, and how many operations it has performed."""

    share: Share
    key: str
    n_performed: int = 0


class DaskPasses(Passes):
    """Passes that the workers of a cluster make over their rows.

    All operations are kept: a shard whose worker is lost is made again on others, which perform them all. Only what
    operations leave in fields is computed again, not the sums.
    """

    def __init__(self, problem: Problem, run: Run, cluster: RowsCluster) -> None:
        """Prepare for a problem; nothing is sent yet."""
        super().__init__(problem, run)
        self._cluster = cluster
        self._groups = row_groups(problem.rows.n_rows)
        self._numbers = itertools.count()
        self._queue: list[Operation] = []
        self._performed: list[Operation] = []
        self._shards: list[_Placed] = []

    def new_number(self) -> int:
        """Return the number of a new field."""
        return next(self._numbers)

    def queue(self, name: str, *arguments: Any) -> None:
        """Note an operation without a result."""
        self._queue.append((name, *arguments))

    def field(self) -> _Field:
        """See `Passes.field`."""
        found = _Field(self)
        self.queue("zero", found.number)
        return found

    def close(self) -> None:
        """See `Passes.close`; the workers' responses aren't waited for."""
        shards, self._shards = self._shards, []
        for address in {shard.share.address for shard in shards}:
            self._cluster.send(address, "end", [shard.key for shard in shards if shard.share.address == address])

    def _margins(self, weights: Array, intercept: Array, Z: _Field) -> None:
        self.queue("margins", weights, intercept, Z.number)

    def _losses(self, Z: _Field, P: _Field) -> Array:
        return np.concatenate(self._results("losses", Z.number, P.number))

    def _gradients(self, P: _Field) -> Array:
        return np.concatenate(self._results("gradients", P.number))

    def _products(self, P: _Field, weights: Array, intercept: Array, XS: _Field) -> Array:
        return np.concatenate(self._results("products", P.number, weights, intercept, XS.number))

    def _curvatures(self, P: _Field) -> tuple[_Field, Array]:
        chances = _Field(self)
        return chances, np.concatenate(self._results("curvatures", P.number, chances.number))

    def _scale_chances(self, chances: _Field, factors: Array, *, has_certain: bool) -> Array:
        return np.concatenate(self._results("scale_chances", chances.number, factors, has_certain))

    def _draw(self, P: _Field, chances: _Field, factors: Array | None, seeds: Array) -> Drawn:
        found = self._results("draw", P.number, chances.number, factors, seeds)

        def drawn(column: int) -> tuple[Array, Array]:
            rows, ratios = zip(*(each[column] for each in found), strict=True)
            return np.concatenate(rows), np.concatenate(ratios)

        return drawn

    def _results(self, *operation: Any) -> list[Any]:
        """Perform what is queued and an operation; return its results, in the order of the rows."""
        queued, self._queue = self._queue, []
        self._performed += [*queued, operation]
        if not self._shards:
            self._shards = [self._placed(share) for share in self._cluster.fit_shares()]
        waiting, found, tries = list(self._shards), [], Tries()
        while waiting:
            results = self._cluster.call([(shard.share, "perform", self._order(shard)) for shard in waiting])
            lost = []
            for shard, result in zip(waiting, results, strict=True):
                if isinstance(result, Lost):
                    lost.append((shard.share.start, shard.share.stop))
                    self._shards.remove(shard)
                else:
                    shard.n_performed = len(self._performed)
                    found.append((shard.share.start, result))
            waiting = [self._placed(share) for share in self._cluster.shares(lost, self._cluster.unit)] if lost else []
            self._shards = [*self._shards, *waiting]
            tries.count(len(found))
        return [result for _, result in sorted(found, key=lambda item: item[0])]

    def _placed(self, share: Share) -> _Placed:
        return _Placed(share, uuid.uuid4().hex)

    def _order(self, shard: _Placed) -> tuple[str, ShardSpec | None, list[Operation]]:
        """Return the arguments of `mnistkit.dask.host.RowsHost.perform`."""
        operations = self._performed[shard.n_performed :]
        return shard.key, (None if shard.n_performed else self._spec(shard.share)), operations

    def _spec(self, share: Share) -> ShardSpec:
        problem, part = self.problem, slice(share.start, share.stop)
        return ShardSpec(
            start=share.start,
            stop=share.stop,
            labels=problem.labels[part],
            weights=None if problem.weights is None else problem.weights[part],
            objective=problem.objective,
            columns=problem.columns,
            groups=[group for group in self._groups if share.start <= group[0] < share.stop],
        )
