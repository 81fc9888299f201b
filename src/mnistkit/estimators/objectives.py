r"""The two objectives of a regularized logistic regression, and what a Newton method asks of them.

With rows :math:`x_i`, classes :math:`y_i`, weights per sample :math:`s_i` and margins :math:`z_i = W^T x_i + b`:

- multinomial: :math:`\sum_i s_i (\log \sum_k e^{z_{ik}} - z_{i y_i}) + \frac{\lambda}{2} \lVert W \rVert^2`
- one-vs-rest: :math:`\sum_k \sum_i s_i \log(1 + e^{-t_{ik} z_{ik}}) + \frac{\lambda}{2} \lVert W \rVert^2` with
  :math:`t_{ik} = 1` where :math:`y_i = k` and :math:`-1` elsewhere: one independent problem per class

These are scikit-learn's, divided by ``C``: :math:`\lambda = 1/C`. The intercept ``b`` is the last row of the
coefficients ``(d + 1, k)`` here; liblinear penalizes it, lbfgs does not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Multinomial", "Objective", "OneVsRest"]

Array = NDArray[Any]


class Objective(ABC):
    """A sum over samples, computed for one block of them. ``labels`` are ``(m,)`` class numbers.

    Attributes:
        independent: Whether each column of the coefficients is a problem of its own.
    """

    independent: bool

    @abstractmethod
    def losses(self, margins: Array, labels: Array, weights: Array | None, out: Array) -> Array:
        """The block's loss, one per independent problem; ``out`` gets the probabilities ``(m, k)``."""

    @staticmethod
    def residuals(probabilities: Array, labels: Array, weights: Array | None, out: Array | None = None) -> Array:
        """Return the derivative of the loss by the margins, ``(m, k)``, in ``out`` if that is given."""
        result: Array = np.subtract(probabilities, _targets(labels, probabilities), out=out)
        if weights is not None:
            result *= weights[:, None]
        return result

    @abstractmethod
    def curve(
        self,
        probabilities: Array,
        weights: Array | None,
        direction: Array,
        out: Array | None = None,
        scratch: Array | None = None,
    ) -> Array:
        """Return the second derivative by the margins, times a direction in margins ``(m, k)``.

        ``out``, if given, gets the result; ``scratch`` is memory that may be written. Both are ``(m, k)``.
        """

    @staticmethod
    def curvatures(probabilities: Array, weights: Array | None, column: int) -> Array:
        """The diagonal of the second derivative for one column, ``(m,)``."""
        p = probabilities[:, column]
        diagonal: Array = p * (1 - p)
        return diagonal if weights is None else diagonal * weights


class Multinomial(Objective):
    """The cross-entropy of a softmax over all classes."""

    independent = False

    def losses(self, margins: Array, labels: Array, weights: Array | None, out: Array) -> Array:
        """See `Objective.losses`."""
        top = margins.max(axis=1, keepdims=True)
        np.exp(np.subtract(margins, top, out=out), out=out)
        total = out.sum(axis=1, keepdims=True)
        out /= total
        loss = np.log(total[:, 0]) + top[:, 0] - margins[np.arange(len(labels)), labels]
        return np.array([_sum(loss, weights)])

    def curve(
        self,
        probabilities: Array,
        weights: Array | None,
        direction: Array,
        out: Array | None = None,
        scratch: Array | None = None,
    ) -> Array:
        """See `Objective.curve`."""
        result: Array = np.multiply(probabilities, direction, out=out)
        result -= np.multiply(probabilities, result.sum(axis=1, keepdims=True), out=scratch)
        if weights is not None:
            result *= weights[:, None]
        return result


class OneVsRest(Objective):
    """One logistic loss per class; with a single column, the binary problem of class 1 against 0."""

    independent = True

    def losses(self, margins: Array, labels: Array, weights: Array | None, out: Array) -> Array:
        """See `Objective.losses`."""
        small = np.exp(-np.abs(margins))
        np.divide(np.where(margins > 0, 1, small), 1 + small, out=out)
        loss = np.log1p(small) + np.maximum(margins, 0) - _targets(labels, margins) * margins
        total: Array = loss.sum(axis=0, dtype=np.float64) if weights is None else weights.astype(np.float64) @ loss
        return total

    def curve(
        self,
        probabilities: Array,
        weights: Array | None,
        direction: Array,
        out: Array | None = None,
        scratch: Array | None = None,  # noqa: ARG002 - the other objective's
    ) -> Array:
        """See `Objective.curve`."""
        result: Array = np.subtract(1, probabilities, out=out)
        result *= probabilities
        result *= direction
        if weights is not None:
            result *= weights[:, None]
        return result


def _targets(labels: Array, like: Array) -> Array:
    """Return 1 for each sample's own class and 0 elsewhere, ``(m, k)``, as booleans; a single column is class 1."""
    classes = np.arange(like.shape[1]) if like.shape[1] > 1 else np.array([1])
    targets: Array = labels[:, None] == classes
    return targets


def _sum(losses: Array, weights: Array | None) -> float:
    return float(losses.sum(dtype=np.float64) if weights is None else weights.astype(np.float64) @ losses)
