r"""Truncated Newton with preconditioned conjugate gradients, for objectives that are sums over rows.

Each Newton step solves :math:`H s = -g` by conjugate gradients (Nash, *A survey of truncated-Newton methods*, 2000),
with one pass over the rows for each product with the Hessian :math:`H`; both products of a pass are done while a
block of rows is in the processor's cache. The preconditioner is, per column, the inverse of a Hessian from some
thousand rows, drawn with probabilities proportional to their curvature: what a good model has long decided hardly
counts, and isn't drawn (Xu et al., *Sub-sampled Newton methods with non-uniform sampling*, 2016). Large data is
first solved on a part of it, each solution being the next one's start.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from mnistkit.estimators.parallel import one_blas_thread
from mnistkit.estimators.passes import Passes, Problem, passes_over, threads
from mnistkit.estimators.preconditioner import Inverse, sampled_inverse
from mnistkit.estimators.rows import ArrayRows

__all__ = ["Problem", "Solution", "minimize"]

Array = NDArray[Any]
Callback = Callable[[int, float, float], object]

_LARGEST_STAGE = 1 << 16
_STAGE_TOL = 3e-2
_ETA = 0.3
_MAX_PRODUCTS = 60
_MAX_HALVINGS = 20
_MAX_SAMPLE_ROWS = 32_000  # for a preconditioner: 100 MB per column that is being inverted, for images like MNIST's
_TINY = np.finfo(float).tiny


@frozen(eq=False)
class Solution:
    """The point at which the minimization ended.

    Attributes:
        coefficients: ``(d + 1, columns)``, the intercept last.
        objective: The objective's value, one per independent problem.
        iterations: Newton steps on the whole data.
        converged: Whether the gradient fell below the tolerance.
        dtype: Of the rows.
        precondition: An approximate inverse of the Hessian there; None if none was needed.
    """

    coefficients: Array
    objective: Array
    iterations: int
    converged: bool
    dtype: np.dtype[np.floating]
    precondition: Inverse | None


def minimize(
    problem: Problem,
    *,
    start: Array | Solution | None = None,
    tol: float,
    max_iter: int,
    n_threads: int,
    seed: int,
    sample: int = 4000,
    callback: Callback | None = None,
) -> Solution:
    """Minimize, from ``start`` or zero, until the gradient's norm is ``tol`` times that at zero.

    Args:
        problem: What to minimize.
        start: ``(d + 1, columns)``, or the solution of a similar problem, whose preconditioner serves as well. From
            that at least one step is taken: it may be within the tolerance, but it isn't this problem's answer.
        tol: Relative; each independent problem must reach it.
        max_iter: Newton steps on the whole data.
        n_threads: How many threads pass over the rows. The result doesn't depend on it.
        seed: Of the rows drawn for preconditioners and stages.
        sample: Rows drawn for a preconditioner.
        callback: Called with iteration, objective and relative gradient after each step.
    """
    rng = np.random.default_rng(seed)
    with one_blas_thread(), threads(n_threads) as run, closing(passes_over(problem, run)) as passes:
        newton = _Newton(passes, rng, sample)
        stage = _stage(problem, sample, rng) if start is None else None
        if stage is not None:
            start = _Newton(passes_over(stage, run), rng, sample).solve(None, _STAGE_TOL, max_iter, None)
        if isinstance(start, Solution):
            newton.precondition = start.precondition
            return newton.solve(start.coefficients, tol, max_iter, callback, least=min(1, max_iter))
        return newton.solve(start, tol, max_iter, callback)


def _stage(problem: Problem, sample: int, rng: np.random.Generator) -> Problem | None:
    """A part of the problem to solve first; None if it is small as it is."""
    n = problem.rows.n_rows
    size = min(n // 3, _LARGEST_STAGE)
    if size < max(sample, 4 * problem.columns):
        return None
    chosen = np.sort(rng.permutation(n)[:size])
    return evolve(
        problem,
        rows=ArrayRows(problem.rows.take(chosen), scale=problem.rows.scale),
        labels=problem.labels[chosen],
        weights=None if problem.weights is None else problem.weights[chosen],
        penalty=problem.penalty * size / n,
        intercept_penalty=problem.intercept_penalty * size / n,
    )


class _Newton:
    """One minimization over one set of rows."""

    def __init__(self, passes: Passes, rng: np.random.Generator, sample: int) -> None:
        self.passes = passes
        self.rng, self.sample = rng, sample
        self.precondition: Inverse | None = None

    def solve(
        self, start: Array | None, tol: float, max_iter: int, callback: Callback | None, *, least: int = 0
    ) -> Solution:
        passes = self.passes
        P = passes.field()
        W = passes.zeros()
        passes.value(passes.field(), W, P)
        scale = passes.norm(passes.gradient(P, W))
        scale[scale == 0] = 1
        W = W if start is None else start.astype(float)
        Z = passes.margins(W)
        f = passes.value(Z, W, P)
        products, iteration = 0, 0
        while True:
            G = passes.gradient(P, W)
            relative = passes.norm(G) / scale
            if callback is not None:
                callback(iteration, float(f.sum()), float(relative.max()))
            if ((relative <= tol).all() and iteration >= least) or iteration == max_iter:
                break
            precondition = self.preconditioner(P, products)
            S, XS, products = self.direction(G, P, precondition)
            stepped = self.step(W, Z, f, S, XS, P=P, slope=passes.dot(G, S))
            if stepped is None:
                break
            W, Z, f = stepped
            del XS  # a number per row and column, which the next direction has no use for
            iteration += 1
        return Solution(
            coefficients=W,
            objective=f,
            iterations=iteration,
            converged=bool((relative <= tol).all()),
            dtype=passes.dtype,
            precondition=self.precondition,
        )

    def preconditioner(self, P: Any, products: int) -> Inverse:
        """The present one, or a new one if the last step took so many products that a new one pays."""
        n, d = self.passes.shape[0], len(self.passes.penalty)
        # In floating operations: a product takes 4nd per column, a preconditioner sample * d**2 + 2 * d**3, faster.
        worthwhile = d * (min(self.sample, n) + 2 * d) / (16 * n)
        if self.precondition is not None and products <= worthwhile:
            return self.precondition
        if products > 4 * worthwhile and self.sample < _MAX_SAMPLE_ROWS:
            self.sample *= 2
        self.precondition = sampled_inverse(self.passes, P, self.sample, self.rng)
        return self.precondition

    def direction(self, G: Array, P: Any, precondition: Inverse) -> tuple[Array, Any, int]:
        """Conjugate gradients for the Newton step: the step, its margins, and how many products it took."""
        passes = self.passes
        S, XS = np.zeros_like(G), passes.field()
        R, XD = -G, passes.field()
        Q = precondition.times(R, passes.run)
        D, rq = Q.copy(), passes.dot(R, Q)
        enough = _ETA**2 * np.maximum(rq, _TINY)
        products = 0
        while products < _MAX_PRODUCTS:
            products += 1
            H = passes.hessian_times(P, D, XD)
            length = rq / np.maximum(passes.dot(D, H), _TINY)
            S += length * D
            XD *= length.astype(passes.dtype)
            XS += XD
            R -= length * H
            Q = precondition.times(R, passes.run)
            previous, rq = rq, passes.dot(R, Q)
            if (rq <= enough).all():
                break
            D = Q + rq / np.maximum(previous, _TINY) * D
        return S, XS, products

    def step(
        self, W: Array, Z: Array, f: Array, S: Array, XS: Array, *, P: Array, slope: Array
    ) -> tuple[Array, Array, Array] | None:
        """Go along ``S``, halving each problem's step until it descends (Armijo); None if it never does.

        Margins are at hand, so that no rows are read. ``P`` gets the new probabilities.
        """
        passes = self.passes
        length = np.ones_like(f)
        noise = np.finfo(passes.dtype).eps * np.abs(f)
        for _ in range(_MAX_HALVINGS):
            W_new, Z_new = W + length * S, XS * length.astype(passes.dtype)
            Z_new += Z
            f_new = passes.value(Z_new, W_new, P)
            bad = f_new > f + 1e-4 * length * slope + noise
            if not bad.any():
                return W_new, Z_new, f_new
            length = np.where(bad, length / 2, length)
        return None
