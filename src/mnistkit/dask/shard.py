"""One problem's values per row on a worker, and the operations on them.

What a shard holds follows from the operations alone. A lost one is made again elsewhere by repeating them: to the last
bit, as each depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from numpy.typing import NDArray

from mnistkit.estimators.group_sums import Group, GroupSums, Run
from mnistkit.estimators.objectives import Objective
from mnistkit.estimators.rows import RowBlocks

__all__ = ["Operation", "Shard", "ShardSpec"]

Array = NDArray[Any]
Operation = tuple[Any, ...]
"""The name of an operation, and its arguments: fields by number, arrays as they are."""


@frozen(eq=False)
class ShardSpec:
    """A range of the rows of a problem.

    Attributes:
        start: Its first row.
        stop: The row that it ends before.
        labels: ``(stop - start,)`` class numbers.
        weights: ``(stop - start,)``, or None.
        objective: The loss.
        columns: How many columns the coefficients have.
        groups: The groups of the range, in numbers of all rows.
    """

    start: int
    stop: int
    labels: Array
    weights: Array | None
    objective: Objective
    columns: int
    groups: Sequence[Group]


class Shard:
    """The fields of a problem over a range of its rows, by number."""

    def __init__(self, spec: ShardSpec, rows: RowBlocks, run: Run) -> None:
        """Hold nothing yet.

        Args:
            spec: The range.
            rows: Its rows.
            run: Threads of this worker.
        """
        groups = [(start - spec.start, stop - spec.start) for start, stop in spec.groups]
        self._sums = GroupSums(
            rows, labels=spec.labels, weights=spec.weights, objective=spec.objective, columns=spec.columns,
            groups=groups, run=run,
        )  # fmt: skip
        self._first = spec.start
        self._fields: dict[int, Array] = {}

    def perform(self, operations: Sequence[Operation]) -> Any:
        """Perform operations in order, and return the result of the last one.

        Only what the others leave in fields counts, so that sums which were returned long ago aren't computed again.
        """
        for name, *arguments in operations[:-1]:
            effect = getattr(self, f"_effect_{name}", None) or getattr(self, f"_{name}")
            effect(*arguments)
        name, *arguments = operations[-1]
        return getattr(self, f"_{name}")(*arguments)

    def _zero(self, field: int) -> None:
        self._fields[field] = self._sums.field()

    def _multiply(self, field: int, by: Array) -> None:
        self._fields[field] *= by

    def _add(self, field: int, other: int) -> None:
        self._fields[field] += self._fields[other]

    def _product(self, field: int, other: int, by: Array) -> None:
        self._fields[field] = self._fields[other] * by

    def _free(self, field: int) -> None:
        self._fields.pop(field, None)

    def _margins(self, weights: Array, intercept: Array, field: int) -> None:
        self._sums.margins(weights, intercept, self._fields[field])

    def _losses(self, margins: int, probabilities: int) -> Array:
        return self._sums.losses(self._fields[margins], self._fields[probabilities])

    def _gradients(self, probabilities: int) -> Array:
        return self._sums.gradients(self._fields[probabilities])

    def _effect_gradients(self, probabilities: int) -> None:
        pass

    def _products(self, probabilities: int, weights: Array, intercept: Array, margins: int) -> Array:
        return self._sums.products(self._fields[probabilities], weights, intercept, self._fields[margins])

    def _effect_products(self, _: int, weights: Array, intercept: Array, margins: int) -> None:
        self._margins(weights, intercept, margins)

    def _curvatures(self, probabilities: int, chances: int) -> Array:
        self._fields[chances], sums = self._sums.curvatures(self._fields[probabilities])
        return sums

    def _scale_chances(self, chances: int, factors: Array, has_certain: bool) -> Array:  # noqa: FBT001 - a message
        return self._sums.scale_chances(self._fields[chances], factors, has_certain=has_certain)

    def _draw(self, probabilities: int, chances: int, factors: Array | None, seeds: Array) -> list[tuple[Array, Array]]:
        if factors is None:
            self._fields[chances][:] = 1
        else:
            self._scale_chances(chances, factors, True)  # noqa: FBT003 - as above
        P, C = self._fields[probabilities], self._fields[chances]
        return [self._sums.draw(P, C, k, int(seed), self._first) for k, seed in enumerate(seeds)]

    def _effect_draw(self, *_: Any) -> None:
        pass
