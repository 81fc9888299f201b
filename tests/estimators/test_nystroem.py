"""Kernel ridge regression from sums, temperature, and margin sampling, against their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel

from mnistkit.estimators.margin_sampling import smallest_margins
from mnistkit.estimators.nystroem import KernelMap, KernelSums
from mnistkit.estimators.rows import ArrayRows, SelectedRows
from mnistkit.estimators.temperature import fit_temperature


def problem(n: int = 5000, m: int = 40, dtype: type = np.float64) -> tuple[KernelMap, Any, Any]:
    """Landmarks, rows and class numbers."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 6)).astype(dtype)
    return KernelMap(X[:m], 0.1), X, (X[:, 0] > 0) + (X[:, 1] > 1) * 1


def summed(kernel_map: KernelMap, X: Any, codes: Any, n_threads: int = 1) -> KernelSums:
    """The sums over all rows."""
    sums = KernelSums(kernel_map, 3)
    sums.add(ArrayRows(X), codes, n_threads)
    return sums


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_are_gaussian(dtype: type) -> None:
    """They are scikit-learn's rbf_kernel, at most 1."""
    kernel_map, X, _ = problem(dtype=dtype)
    K = kernel_map(X)
    assert K.dtype == dtype
    assert K.max() <= 1
    np.testing.assert_allclose(K, rbf_kernel(X, X[:40], gamma=0.1), atol=1e-5 if dtype == np.float32 else 1e-12)


def test_scores_are_those_of_a_ridge_regression() -> None:
    """Coefficients and intercept are scikit-learn's Ridge on the kernels, with the ridge in units of their variance."""
    kernel_map, X, codes = problem()
    sums = summed(kernel_map, X, codes)
    ours = sums.solve(1e-3)
    K = kernel_map(X)
    theirs = Ridge(alpha=1e-3 * K.var(axis=0).mean() * len(X)).fit(K, np.eye(3)[codes])
    np.testing.assert_allclose(ours.coef, theirs.coef_.T, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours.intercept, theirs.intercept_, rtol=1e-6)
    assert ours.alpha == 1e-3
    np.testing.assert_allclose(ours.scores(ArrayRows(X), 2), theirs.predict(K), atol=1e-8)
    top = np.sort(theirs.predict(K), axis=1)
    np.testing.assert_allclose(ours.margins(ArrayRows(X), 2), top[:, -1] - top[:, -2], atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_dont_change_the_sums(dtype: type) -> None:
    """One, two and three threads give the same sums, to the last bit."""
    sums = [summed(*problem(dtype=dtype), n_threads) for n_threads in (1, 2, 3)]
    for each in sums[1:]:
        np.testing.assert_array_equal(each.gram, sums[0].gram)
        np.testing.assert_array_equal(each.products, sums[0].products)


def test_sums_of_parts_add_up() -> None:
    """Sums over parts of the rows, merged or added one after another, are those over all rows."""
    kernel_map, X, codes = problem()
    whole = summed(kernel_map, X, codes)
    merged = summed(kernel_map, X[:1234], codes[:1234])
    merged.merge(summed(kernel_map, X[1234:], codes[1234:]))
    added = KernelSums(kernel_map, 3)
    for part in (np.arange(0, 5000, 2), np.arange(1, 5000, 2)):
        added.add(SelectedRows(ArrayRows(X), part), codes[part], 2)
    for each in (merged, added):
        assert each.n_rows == whole.n_rows
        for name in ("gram", "kernels", "products", "classes"):
            np.testing.assert_allclose(getattr(each, name), getattr(whole, name), rtol=1e-12)


def test_a_ridge_that_rounding_hides_is_raised() -> None:
    """Where kernels are nearly dependent, a ridge below float32's rounding is multiplied by four until it holds."""
    _, X, codes = problem(dtype=np.float32)
    found = summed(KernelMap(X[:200], 1e-2), X, codes).solve(1e-12)
    assert 1e-12 < found.alpha < 1e-2
    assert np.isfinite(found.coef).all()
    assert (found.scores(ArrayRows(X), 1).argmax(axis=1) == codes).mean() > 0.8


def test_rows_that_are_all_alike_are_solved() -> None:
    """Kernels without any variance leave the classes' shares as scores."""
    X = np.ones((30, 2))
    found = summed(KernelMap(X[:4], 1.0), X, np.arange(30) % 3).solve(1e-5)
    np.testing.assert_allclose(found.scores(ArrayRows(X[:2]), 1), 1 / 3, atol=1e-3)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 20.0])
def test_a_temperature_is_found_again(temperature: float) -> None:
    """Labels that were drawn with probabilities of a temperature give back that temperature."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(20_000, 4)) * temperature * 2
    chances = np.exp(scores / temperature)
    chances /= chances.sum(axis=1, keepdims=True)
    codes = (rng.random((20_000, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    assert fit_temperature(scores, codes, np.ones(20_000)) == pytest.approx(temperature, rel=0.05)


def test_weights_of_a_temperature_are_copies() -> None:
    """A row of weight 3 counts as three rows."""
    rng = np.random.default_rng(0)
    scores, codes = rng.normal(size=(3000, 3)), rng.integers(0, 3, 3000)
    codes[:2000] = scores[:2000].argmax(axis=1)
    weights = rng.integers(1, 4, 3000)
    copies = fit_temperature(np.repeat(scores, weights, axis=0), np.repeat(codes, weights), np.ones(weights.sum()))
    assert fit_temperature(scores, codes, weights) == pytest.approx(copies, rel=1e-2)


def test_rows_that_are_all_right_leave_some_doubt() -> None:
    """A few rows without an error give a probability below 1; more of them give a higher one."""
    doubts = []
    for n in (10, 1000):
        scores = np.tile([1.0, 0.0, 0.0], (n, 1))
        temperature = fit_temperature(scores, np.zeros(n, int), np.ones(n))
        doubts.append(2 / (np.exp(1 / temperature) + 2))
    assert 0.02 < doubts[0] < 0.2
    assert 0 < doubts[1] < doubts[0] / 10


def test_the_smallest_margins_are_selected() -> None:
    """Without coverage exactly they; with it, so many random others; never more rows than there are, nor one twice."""
    margins = np.random.default_rng(0).random(1000)
    smallest = np.sort(np.argsort(margins)[:100])
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(smallest_margins(margins, 100, 0.0, rng), smallest)
    for coverage, hard in ((0.3, 70), (1.0, 0)):
        selected = smallest_margins(margins, 100, coverage, rng)
        assert len(set(selected)) == 100
        assert np.isin(np.argsort(margins)[:hard], selected).all()
        assert len(set(selected) - set(smallest)) > (100 - hard) / 2
    np.testing.assert_array_equal(smallest_margins(margins, 5000, 0.5, rng), np.arange(1000))
    np.testing.assert_array_equal(smallest_margins(margins, 1000, 0.5, rng), np.arange(1000))
    assert len(smallest_margins(margins, 999, 0.0, rng)) == 999
