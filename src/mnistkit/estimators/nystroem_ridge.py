"""A kernel ridge classifier on landmarks, for dense data of some thousands to some millions of rows."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.extmath import softmax
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from mnistkit.estimators.margin_sampling import smallest_margins
from mnistkit.estimators.nystroem import KernelMap, KernelScores, KernelSums
from mnistkit.estimators.parallel import one_blas_thread, thread_count
from mnistkit.estimators.rows import ArrayRows, RowBlocks, SelectedRows, scaled_rows
from mnistkit.estimators.temperature import fit_temperature

__all__ = ["NystroemRidgeClassifier", "labels_of"]

Array = NDArray[Any]

_DISTANCE_ROWS = 500  # the median of 500 x 500 distances is good to some percent
_MIN_DISTANCE_ROUNDINGS = 100
_FIRST_LANDMARKS = 700
_FIRST_ROWS = 15_000
_FIRST_ALPHA = 1e-4
_ROWS_PER_LANDMARK = 4
_HELD_OUT_SHARE = 0.1
_MAX_EASY_ROWS = 2000  # that the temperature is fitted to


@frozen(eq=False)
class _Selection:
    """Numbers of rows, each sorted.

    Attributes:
        landmarks: ``(m,)``.
        kept: Rows to solve on.
        held: Rows to solve on as well, once the temperature is fitted to them.
    """

    landmarks: Array
    kept: Array
    held: Array


class NystroemRidgeClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    r"""Kernel ridge regression of the classes, on the landmarks and rows that are hard to classify.

    The regression is that of `mnistkit.estimators.nystroem`: a Gaussian kernel, m landmarks, solved in closed form.
    Its cost is in proportion to the rows that it is solved on, and to m squared. Landmarks and rows are selected by
    `mnistkit.estimators.margin_sampling`: a first regression on 700 random landmarks scores all rows, and those with
    the smallest margins are taken. No label is looked at, so that rows with a wrong one aren't any likelier to be.

    Probabilities are a softmax of the scores by a temperature (`mnistkit.estimators.temperature`), which is fitted to
    rows that were held out, none of them a landmark if there are enough others. They are added to the sums afterwards:
    the final scores are solved from all selected rows.

    float32 stays float32, where sums are float64; ``uint8`` becomes float32, and other types float64. Rows are read in
    blocks: memory is :math:`O(m^2)`, and some bytes per row. The result is deterministic for a seed, whatever the
    number of threads.

    Args:
        n_landmarks: m, at least 1; all rows, where there are no more.
        row_share: The share of all rows that it is solved on, above 0 to 1; at least 4 rows per landmark.
        bandwidth: The Gaussian kernel's standard deviation, as a multiple of the median distance between rows.
        alpha: The ridge, as a multiple of the mean variance of a kernel, above 0.
        selection: ``"margin"``, or ``"random"`` for random landmarks and all rows.
        coverage: The share of random rows among those selected by margin, 0 to 1.
        n_jobs: Threads; None for one per core, negative numbers as in joblib: -1 for all cores, -2 for all but one.
        random_state: Of all random draws.

    Attributes:
        classes_: The class labels, sorted.
        landmarks_: ``(m, d)``.
        gamma_: Of the kernel.
        coef_: ``(m, k)``, one column per class.
        intercept_: ``(k,)``.
        alpha_: The ridge taken: above ``alpha`` where float32 was too coarse for it.
        temperature_: What scores are divided by, for probabilities.
        n_features_in_: d.
    """

    def __init__(
        self,
        n_landmarks: int = 3000,
        *,
        row_share: float = 0.25,
        bandwidth: float = 0.5,
        alpha: float = 2e-5,
        selection: Literal["margin", "random"] = "margin",
        coverage: float = 0.1,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.n_landmarks = n_landmarks
        self.row_share = row_share
        self.bandwidth = bandwidth
        self.alpha = alpha
        self.selection = selection
        self.coverage = coverage
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> NystroemRidgeClassifier:
        """Fit landmarks, scores and temperature.

        Args:
            X: ``(n, d)``, dense; or `RowBlocks`, for data that isn't in memory.
            y: ``(n,)`` class labels.

        Raises:
            ValueError: As scikit-learn: an option that can't be, shapes that don't fit, NaN or infinite values, fewer
                than two classes.
        """
        rows, codes = self._validated(X, y)
        rng = np.random.default_rng(int(check_random_state(self.random_state).randint(2**31 - 1)))
        with one_blas_thread():
            self.gamma_ = _gamma(rows, self.bandwidth, rng)
            self._solve(rows, codes, self._select(rows, codes, rng), rng)
        return self

    def decision_function(self, X: Any) -> Array:
        """Return the scores: ``(n, k)``, or for two classes ``(n,)``, that of the second less that of the first.

        Args:
            X: As in `fit`.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores  # noqa: PLR2004 - a binary problem

    def predict(self, X: Any) -> Array:
        """Return the class with the highest score for each row, ``(n,)``."""
        scores = self._scores(X)
        labels: Array = self.classes_[scores.argmax(axis=1)]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, ``(n, k)``."""
        scores = self._scores(X)
        probabilities: Array = softmax(scores / self.temperature_, copy=False)
        return probabilities

    def _scores(self, X: Any) -> Array:
        check_is_fitted(self)
        if not isinstance(X, RowBlocks):
            X = ArrayRows(validate_data(self, X, reset=False, dtype=[np.float64, np.float32, np.uint8], order="C"))
        model = KernelScores(KernelMap(self.landmarks_, self.gamma_), self.coef_, self.intercept_, self.alpha_)
        with one_blas_thread():
            return model.scores(X, thread_count(self.n_jobs))

    def _select(self, rows: RowBlocks, codes: Array, rng: np.random.Generator) -> _Selection:
        """Select the landmarks and the rows to solve on."""
        n = rows.n_rows
        m = min(self.n_landmarks, n)
        if m == n or self.selection == "random":
            margins, count = rng.random(n), n
        else:
            margins = self._margins(rows, codes, rng)
            count = max(round(n * self.row_share), _ROWS_PER_LANDMARK * m)
        selected = smallest_margins(margins, count, self.coverage, rng)
        n_held = max(1, round(len(selected) * _HELD_OUT_SHARE))
        held, kept = (np.sort(part) for part in np.split(rng.permutation(selected), [n_held]))
        # A landmark's own weight is fitted to the rows around it: where its row is held out, scores there are worse
        # than for new rows, and the probabilities would be too low.
        others = np.setdiff1d(np.arange(n), held, assume_unique=True) if m <= n - n_held else np.arange(n)
        return _Selection(others[smallest_margins(margins[others], m, self.coverage, rng)], kept, held)

    def _margins(self, rows: RowBlocks, codes: Array, rng: np.random.Generator) -> Array:
        """Return the margins of all rows, ``(n,)``, in a first regression on a few of them."""
        n, n_threads = rows.n_rows, thread_count(self.n_jobs)
        first = self._sums(rows, np.sort(rng.permutation(n)[:_FIRST_LANDMARKS]))
        part = np.sort(rng.permutation(n)[:_FIRST_ROWS])
        # Read here, wherever the rows lie: a few, whose sums decide the selection to the last bit.
        first.add(SelectedRows(rows, part), codes[part], n_threads)
        return first.solve(_FIRST_ALPHA).margins(rows, n_threads)

    def _solve(self, rows: RowBlocks, codes: Array, selection: _Selection, rng: np.random.Generator) -> None:
        """Solve on the kept rows, fit the temperature to those held out, and solve on all of them."""
        n_threads, kept, held = thread_count(self.n_jobs), selection.kept, selection.held
        sums = self._sums(rows, selection.landmarks)
        sums.add(rows.select(kept), codes[kept], n_threads)
        # Rows that weren't selected are held out as they are. They are easy: a few stand for all of them.
        easy = np.ones(rows.n_rows, bool)
        easy[kept] = easy[held] = False
        easy_rows = rng.permutation(np.flatnonzero(easy))[:_MAX_EASY_ROWS]
        probe = np.concatenate([held, easy_rows])
        weights = np.repeat(
            [(len(kept) + len(held)) / len(held), np.count_nonzero(easy) / max(1, len(easy_rows))],
            [len(held), len(easy_rows)],
        )
        scores = sums.solve(self.alpha).scores(rows.select(probe), n_threads)
        self.temperature_ = fit_temperature(scores, codes[probe], weights)
        sums.add(rows.select(held), codes[held], n_threads)
        final = sums.solve(self.alpha)
        self.landmarks_ = final.kernel_map.landmarks
        self.coef_, self.intercept_, self.alpha_ = final.coef, final.intercept, final.alpha

    def _sums(self, rows: RowBlocks, landmarks: Array) -> KernelSums:
        return KernelSums(KernelMap(scaled_rows(rows, landmarks), self.gamma_), len(self.classes_))

    def _validated(self, X: Any, y: Any) -> tuple[RowBlocks, Array]:
        """Check options and data; return the rows and the class numbers."""
        self._check_parameters()
        if isinstance(X, RowBlocks):
            rows, y = X, labels_of(y, X)
            self.n_features_in_ = rows.n_columns
        else:
            X, y = validate_data(self, X, y, dtype=[np.float64, np.float32, np.uint8], order="C")
            rows = ArrayRows(X)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:  # noqa: PLR2004 - nothing to tell apart
            raise ValueError(
                f"The data has only one class, {self.classes_.tolist()[0]!r}: at least 2 classes are needed."
            )
        return rows, codes.astype(np.min_scalar_type(len(self.classes_)))

    def _check_parameters(self) -> None:
        if not isinstance(self.n_landmarks, (int, np.integer)) or self.n_landmarks < 1:
            raise ValueError(f"n_landmarks={self.n_landmarks!r}: use a whole number of at least 1.")
        for name, value in (("bandwidth", self.bandwidth), ("alpha", self.alpha), ("row_share", self.row_share)):
            if not isinstance(value, (int, float, np.number)) or not value > 0 or not np.isfinite(value):
                raise ValueError(f"{name}={value!r}: use a finite number above 0.")
        if not self.row_share <= 1:
            raise ValueError(f"row_share={self.row_share!r}: use at most 1, for all rows.")
        if not isinstance(self.coverage, (int, float, np.number)) or not 0 <= self.coverage <= 1:
            raise ValueError(f"coverage={self.coverage!r}: use a number from 0 to 1.")
        if self.selection not in {"margin", "random"}:
            raise ValueError(f"selection={self.selection!r}: use 'margin' or 'random'.")


def labels_of(y: Any, rows: RowBlocks) -> Array:
    """Return ``y`` as an array; raise `ValueError` where it isn't one label per row."""
    labels = np.asarray(y)
    if labels.shape != (rows.n_rows,):
        raise ValueError(f"y has shape {labels.shape}, but there are {rows.n_rows} rows.")
    return labels


def _gamma(rows: RowBlocks, bandwidth: float, rng: np.random.Generator) -> float:
    r"""Return :math:`1 / (2 \sigma^2)`, for the bandwidth :math:`\sigma` as a multiple of the median distance."""
    chosen = scaled_rows(rows, rng.permutation(rows.n_rows)[: 2 * _DISTANCE_ROWS]).astype(np.float64)
    a, b = chosen[::2], chosen[1::2]
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
    # Products of the rows' type can't tell shorter distances from rounding.
    shortest = _MIN_DISTANCE_ROUNDINGS * float(np.finfo(rows.dtype).eps) * float((a * a).sum(axis=1).mean())
    scale = max(float(np.median(squares)), shortest)
    return 1 / (2 * bandwidth**2 * scale) if scale > 0 else 1.0
