"""Principal components in which what varies within the classes counts for less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from mnistkit.estimators import WithinClassComponents


@parametrize_with_checks([WithinClassComponents(), WithinClassComponents(1)])
def test_it_is_a_scikit_learn_transformer(estimator: Any, check: Any) -> None:
    """It passes scikit-learn's own checks."""
    check(estimator)


def stretched(n: int = 2000) -> tuple[Any, Any]:
    """Two classes that one direction tells apart, while another varies more, and in both alike."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, n)
    X = np.stack([2.0 * codes, np.zeros(n), np.zeros(n)], axis=1) + rng.normal(size=(n, 3)) * [0.6, 30, 0.6]
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return X @ turn, codes


def test_without_power_distances_are_those_of_principal_components() -> None:
    """With power 0 the components are turned, but no nearer to each other."""
    X, y = stretched()
    for count in (2, 3):
        ours = WithinClassComponents(count, power=0).fit_transform(X, y)
        theirs = PCA(count).fit_transform(X)
        np.testing.assert_allclose(pairwise_distances(ours), pairwise_distances(theirs), atol=1e-8)


def test_full_power_makes_variances_within_classes_alike() -> None:
    """With power 0.5 and no shrinkage, the covariance of what varies within the classes is a multiple of identity."""
    X, y = stretched()
    Z = WithinClassComponents(power=0.5, shrinkage=0).fit_transform(X, y)
    for code in (0, 1):
        Z[y == code] -= Z[y == code].mean(axis=0)
    covariance = Z.T @ Z
    np.testing.assert_allclose(covariance / covariance[0, 0], np.eye(3), atol=1e-8)


def test_what_varies_within_classes_counts_for_less() -> None:
    """Neighbours are of the same class more often, the more power."""
    X, y = stretched()
    scores = []
    for power in (0.0, 0.2, 0.5):
        model = make_pipeline(WithinClassComponents(power=power), KNeighborsClassifier(1)).fit(X[::2], y[::2])
        scores.append(model.score(X[1::2], y[1::2]))
    assert scores[0] < scores[1] < scores[2]


def test_classes_of_one_row_each_leave_principal_components() -> None:
    """Nothing varies within them: all directions are scaled alike."""
    X, _ = stretched(5)
    ours, given = pairwise_distances(WithinClassComponents(3).fit_transform(X, np.arange(5))), pairwise_distances(X)
    np.testing.assert_allclose(ours / ours[0, 1], given / given[0, 1], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_components": 0}, "n_components=0"),
        ({"power": -1}, "power=-1"),
        ({"shrinkage": float("nan")}, "shrinkage=nan"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], words: str) -> None:
    """An option that can't be is a ValueError that names it."""
    with pytest.raises(ValueError, match=words):
        WithinClassComponents(**options).fit(*stretched())
