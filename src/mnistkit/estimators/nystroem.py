r"""Kernel ridge regression on landmarks (the Nystroem method), from sums over blocks of rows.

With landmarks :math:`l_1, ..., l_m` and the Gaussian kernel :math:`k(x, l) = \exp(-\gamma \lVert x - l \rVert^2)`, a
row becomes :math:`\phi(x) = (k(x, l_1), ..., k(x, l_m))`, and the scores :math:`f(x) = W^T \phi(x) + b` minimize

.. math:: \sum_i \lVert f(x_i) - y_i \rVert^2 + \lambda \lVert W \rVert^2

for indicators :math:`y_i` of the classes: :math:`W = (G + \lambda I)^{-1} B` with the centred sums
:math:`G = \sum_i (\phi_i - \bar\phi)(\phi_i - \bar\phi)^T` and :math:`B = \sum_i (\phi_i - \bar\phi)(y_i - \bar y)^T`,
and :math:`b = \bar y - W^T \bar\phi`. Rows enter only through sums, which add up: block by block, or from several
computers. Landmarks in place of all rows: C. K. I. Williams and M. Seeger, *Using the Nystroem method to speed up
kernel machines*, NIPS 2000.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mnistkit.estimators.rows import RowBlocks

__all__ = ["KernelMap", "KernelScores", "KernelSums"]

Array = NDArray[Any]

_SUMMED_ROWS = 2048  # long enough for fast products, short enough that float32 loses little: blocks add as float64
_SCORED_ROWS = 512
_MIN_SCALE = 1e-12  # of the diagonal: kernels that are all alike leave no variance to scale the ridge by


@frozen(eq=False)
class KernelMap:
    r"""The map :math:`\phi` from rows to their kernels with the landmarks.

    Attributes:
        landmarks: ``(m, d)``, float32 or float64, which is the type of the kernels as well.
        gamma: :math:`\gamma`, above 0.
    """

    landmarks: Array
    gamma: float

    def __call__(self, X: Array) -> Array:
        """Return the kernels of ``X``, ``(b, d)``, with each landmark: ``(b, m)``."""
        gamma = self.landmarks.dtype.type(self.gamma)
        # Distances stay as they are, and lose less to rounding, when all is moved to where the landmarks' mean is 0.
        centre = self.landmarks.mean(axis=0)
        X, landmarks = X - centre, self.landmarks - centre
        K: Array = X @ (2 * gamma * landmarks).T
        K -= gamma * np.einsum("ij,ij->i", landmarks, landmarks)
        K -= (gamma * np.einsum("ij,ij->i", X, X))[:, None]
        np.minimum(K, 0, out=K)  # rounding may leave a distance below 0
        return np.exp(K, out=K)


@frozen(eq=False)
class KernelScores:
    """Scores of rows, linear in their kernels.

    Attributes:
        kernel_map: The kernels.
        coef: ``(m, k)``, of the kernels' type.
        intercept: ``(k,)``, of the same type.
        alpha: The ridge that they were solved with, as a multiple of the mean variance of a kernel.
    """

    kernel_map: KernelMap
    coef: Array
    intercept: Array
    alpha: float

    def scores(self, rows: RowBlocks, n_threads: int) -> Array:
        """Return the scores of all rows, ``(n, k)``."""
        scores = np.empty((rows.n_rows, len(self.intercept)), self.coef.dtype)
        rows.fill(self._scores, scores, _SCORED_ROWS, n_threads)
        return scores

    def margins(self, rows: RowBlocks, n_threads: int) -> Array:
        """Return the difference between each row's two highest scores, ``(n,)``; no more is kept per row."""
        margins = np.empty(rows.n_rows, self.coef.dtype)
        rows.fill(self._margins, margins, _SCORED_ROWS, n_threads)
        return margins

    def _scores(self, X: Array) -> Array:
        scores: Array = self.kernel_map(X) @ self.coef + self.intercept
        return scores

    def _margins(self, X: Array) -> Array:
        top = np.partition(self._scores(X), -2, axis=1)
        margins: Array = top[:, -1] - top[:, -2]
        return margins


@frozen(eq=False)
class _BlockSums:
    """The sums over a block of rows: of the kernels' outer products, of the kernels, and of those of each class."""

    kernel_map: KernelMap
    n_classes: int

    def __call__(self, X: Array, codes: Array) -> tuple[Array, Array, Array]:
        K = self.kernel_map(X)
        identity = np.eye(self.n_classes, dtype=X.dtype)
        return K.T @ K, K.sum(axis=0, dtype=np.float64), K.T @ identity[codes]


class KernelSums:
    """The sums over rows from which a kernel ridge regression is solved, in float64.

    Attributes:
        kernel_map: The kernels.
        n_rows: The number of rows added so far.
        gram: ``(m, m)``, the sum of the kernels' outer products.
        kernels: ``(m,)``, the sum of the kernels.
        products: ``(m, k)``, the sum of the kernels for each class.
        classes: ``(k,)``, the number of rows of each class.
    """

    def __init__(self, kernel_map: KernelMap, n_classes: int) -> None:
        m = len(kernel_map.landmarks)
        self.kernel_map = kernel_map
        self.n_rows = 0
        self.gram = np.zeros((m, m))
        self.kernels = np.zeros(m)
        self.products = np.zeros((m, n_classes))
        self.classes = np.zeros(n_classes)

    def add(self, rows: RowBlocks, codes: Array, n_threads: int) -> None:
        """Add rows. The sums don't depend on the number of threads.

        Where rows lie in several places, sums over each place's are added: their last bits depend on the places.

        Args:
            rows: ``(n, d)``.
            codes: ``(n,)`` class numbers.
            n_threads: Threads that compute blocks. The linear algebra should have one thread in each.
        """
        work = _BlockSums(self.kernel_map, len(self.classes))
        for gram, kernels, products in rows.sums(work, codes, _SUMMED_ROWS, n_threads):
            self.gram += gram
            self.kernels += kernels
            self.products += products
        self.n_rows += rows.n_rows
        self.classes += np.bincount(codes, minlength=len(self.classes))

    def merge(self, other: KernelSums) -> None:
        """Add the sums over other rows, which must have the same kernels."""
        self.n_rows += other.n_rows
        self.gram += other.gram
        self.kernels += other.kernels
        self.products += other.products
        self.classes += other.classes

    def solve(self, alpha: float) -> KernelScores:
        r"""Return the scores that minimize the regularized sum of squares.

        Args:
            alpha: The ridge :math:`\lambda`, as a multiple of the mean diagonal of the centred Gram matrix. Where
                rounding leaves the sum indefinite, four times as much is taken, and so on: `KernelScores.alpha`.
        """
        from scipy.linalg import lapack

        n, m = self.n_rows, len(self.kernels)
        dtype = self.kernel_map.landmarks.dtype
        diagonal = self.gram.diagonal()
        scale = float((diagonal - self.kernels**2 / n).mean())
        scale = max(scale, _MIN_SCALE * float(diagonal.mean())) or 1.0
        while True:
            A = np.outer(self.kernels, self.kernels / -n)
            A += self.gram
            A[np.diag_indices(m)] += alpha * scale
            # A is symmetric: transposed it has LAPACK's order, and is factorized in place.
            factor, failed = lapack.dpotrf(A.T, lower=1, overwrite_a=1)
            if not failed:
                break
            alpha *= 4
        coef, _ = lapack.dpotrs(factor, self.products - np.outer(self.kernels, self.classes / n), lower=1)
        intercept = (self.classes - self.kernels @ coef) / n
        return KernelScores(self.kernel_map, coef.astype(dtype), intercept.astype(dtype), alpha)
