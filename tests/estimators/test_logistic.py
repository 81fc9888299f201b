"""The fast logistic regression, against scikit-learn's and by the mathematics."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from mnistkit.data.idx import write_idx
from mnistkit.errors import DataFormatError, UsageError
from mnistkit.estimators import ArrayRows, FastLogisticRegression, FileRows
from mnistkit.estimators.newton import Problem, minimize
from mnistkit.estimators.objectives import Multinomial, Objective, OneVsRest
from mnistkit.models.persistence import loads_model, save_model


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([FastLogisticRegression(), FastLogisticRegression("ovr")])
def test_it_is_a_scikit_learn_estimator(estimator: Any, check: Any) -> None:
    """It passes all of scikit-learn's own checks of an estimator."""
    check(estimator)


def problem_of(kind: str, seed: int) -> tuple[Any, Any]:
    """Small data of a kind that solvers stumble over."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(120, 7))
    classes = 2 if kind == "two classes" else 4
    y = (X @ rng.normal(size=(7, classes)) + rng.normal(size=(120, classes))).argmax(axis=1)
    if kind == "separable":
        X[:, 0] = 10 * y
    elif kind == "collinear":
        X[:, 1] = X[:, 0]
        X[:, 2] = X[:, 0] + X[:, 3]
    elif kind == "constant columns":
        X[:, 1] = 0
        X[:, 2] = 5
    elif kind == "rare class":
        keep = (y != 3) | (np.cumsum(y == 3) <= 1)
        X, y = X[keep], y[keep]
    elif kind == "labels with gaps":
        y = np.array([-5, 3, 40, 41])[y]
    elif kind == "wide":
        X = rng.normal(size=(120, 300))
    return X, y


KINDS = ["plain", "two classes", "separable", "collinear", "constant columns", "rare class", "labels with gaps", "wide"]


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 1000), log_c=st.floats(-3, 3), intercept=st.booleans())
@settings(max_examples=8, deadline=None)
def test_the_optimum_is_scikit_learns(kind: str, seed: int, log_c: float, intercept: bool) -> None:
    """Coefficients, intercepts and probabilities are those of a converged lbfgs."""
    X, y = problem_of(kind, seed)
    if len(np.unique(y)) < 2:
        return
    theirs = LogisticRegression(C=10**log_c, fit_intercept=intercept, tol=1e-10, max_iter=100_000).fit(X, y)
    ours = FastLogisticRegression(C=10**log_c, fit_intercept=intercept, tol=1e-8).fit(X, y)
    assert ours.converged_
    scale = max(1.0, np.abs(theirs.coef_).max())
    np.testing.assert_allclose(ours.coef_ / scale, theirs.coef_ / scale, atol=1e-3)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3)
    assert objective(ours, X, y) <= objective(theirs, X, y) * (1 + 1e-7) + 1e-9


def objective(model: Any, X: Any, y: Any) -> float:
    """The objective in its plain form, from a model's probabilities."""
    codes = np.searchsorted(model.classes_, y)
    loss = -np.log(model.predict_proba(X)[np.arange(len(y)), codes]).sum()
    return float(loss + np.sum(model.coef_.astype(float) ** 2) / (2 * model.C))


def test_the_objective_is_reported(digits: Any) -> None:
    """``objective_`` is the documented formula's value."""
    X, y = digits
    model = FastLogisticRegression(C=0.5).fit(X, y)
    assert model.objective_ == pytest.approx(objective(model, X, y), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_one_vs_rest_is_liblinears(kind: str) -> None:
    """With a penalized intercept, one-vs-rest has liblinear's coefficients for each class."""
    X, y = problem_of(kind, 3)
    ours = FastLogisticRegression("ovr", C=0.7, tol=1e-8, penalize_intercept=True).fit(X, y)
    for row, label in enumerate(ours.classes_ if len(ours.classes_) > 2 else ours.classes_[1:]):
        theirs = LogisticRegression(C=0.7, solver="liblinear", tol=1e-10, max_iter=10_000).fit(X, y == label)
        np.testing.assert_allclose(ours.coef_[row], theirs.coef_[0], atol=1e-4)
        np.testing.assert_allclose(ours.intercept_[row], theirs.intercept_[0], atol=1e-4)


@pytest.fixture(scope="module")
def digits() -> Any:
    """scikit-learn's digits, scaled."""
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.mark.parametrize("objective_", [Multinomial(), OneVsRest()])
@pytest.mark.parametrize("weighted", [False, True])
def test_derivatives_are_those_of_the_loss(objective_: Objective, weighted: bool) -> None:
    """Residuals are the numerical gradient of the loss, and the curve its numerical second derivative."""
    rng = np.random.default_rng(0)
    Z, V = rng.normal(size=(2, 9, 3))
    labels = rng.integers(0, 3, 9)
    weights = rng.random(9) if weighted else None
    P, other = np.empty_like(Z), np.empty_like(Z)

    def loss(margins: Any) -> float:
        return float(objective_.losses(margins, labels, weights, other).sum())

    objective_.losses(Z, labels, weights, P)
    h = 1e-6
    slope = (loss(Z + h * V) - loss(Z - h * V)) / (2 * h)
    assert np.sum(objective_.residuals(P, labels, weights) * V) == pytest.approx(slope, rel=1e-6)
    above, below = np.empty_like(Z), np.empty_like(Z)
    objective_.losses(Z + h * V, labels, weights, above)
    objective_.losses(Z - h * V, labels, weights, below)
    bend = objective_.residuals(above, labels, weights) - objective_.residuals(below, labels, weights)
    np.testing.assert_allclose(objective_.curve(P, weights, V), bend / (2 * h), atol=1e-7)


def test_margins_of_any_size_stay_finite() -> None:
    """Losses and probabilities of huge margins are finite, and right."""
    Z = np.array([[1e4, -1e4, 0.0]])
    for loss, expected in ((Multinomial(), 2e4), (OneVsRest(), 2e4 + np.log(2))):
        P = np.empty_like(Z)
        value = loss.losses(Z, np.array([1]), None, P).sum()
        assert value == pytest.approx(expected)
        assert np.isfinite(P).all()


@pytest.mark.parametrize("objective_", ["multinomial", "ovr"])
def test_threads_dont_change_the_result(digits: Any, objective_: str) -> None:
    """One, two and three threads give the same coefficients, to the last bit."""
    X, y = digits
    models = [FastLogisticRegression(objective_, n_jobs=n, random_state=0).fit(X, y) for n in (1, 2, 3)]
    for model in models[1:]:
        np.testing.assert_array_equal(model.coef_, models[0].coef_)


def test_no_threads_are_refused(digits: Any) -> None:
    """n_jobs means what it does in joblib: all cores but one can be asked for, and none can't."""
    FastLogisticRegression(n_jobs=-2, max_iter=1, tol=1.0).fit(*digits)
    with pytest.raises(ValueError, match="n_jobs == 0"):
        FastLogisticRegression(n_jobs=0).fit(*digits)


def large(n: int = 30_000, d: int = 12, classes: int = 4) -> tuple[Any, Any]:
    """Enough rows for stages and sampled preconditioners."""
    X, y = make_classification(n, d, n_informative=8, n_redundant=0, n_classes=classes, random_state=0)
    return X.astype(np.float32), y


def test_large_data_is_solved_in_stages_to_the_same_optimum() -> None:
    """Sampling decides how fast, not where to: seeds agree, and so does scikit-learn."""
    X, y = large()
    theirs = LogisticRegression(tol=1e-8, max_iter=1000).fit(X.astype(float), y)
    for seed in (0, 1):
        ours = FastLogisticRegression(tol=1e-6, random_state=seed).fit(X, y)
        assert ours.coef_.dtype == np.float32
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=2e-4)


def test_sample_weights_count_as_copies(digits: Any) -> None:
    """A weight of 3 is three copies, 0 is absence, and class weights multiply."""
    X, y = digits
    weights = np.random.default_rng(0).integers(0, 4, len(y))
    a = FastLogisticRegression(tol=1e-8).fit(X, y, sample_weight=weights)
    b = FastLogisticRegression(tol=1e-8).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-5)
    c = FastLogisticRegression(tol=1e-8, class_weight={0: 2.0}).fit(X, y)
    d = FastLogisticRegression(tol=1e-8).fit(X, y, sample_weight=np.where(y == 0, 2.0, 1.0))
    np.testing.assert_allclose(c.coef_, d.coef_, atol=1e-6)


def test_a_path_is_the_same_as_single_fits(digits: Any) -> None:
    """Each model of a path is the optimum for its C, in the order asked for."""
    X, y = digits
    Cs = [10.0, 0.01, 1.0, 10.0]
    models = FastLogisticRegression(tol=1e-7).path(X, y, Cs)
    assert [model.C for model in models] == Cs
    for C, model in zip(Cs, models, strict=True):
        np.testing.assert_allclose(model.coef_, FastLogisticRegression(C=C, tol=1e-7).fit(X, y).coef_, atol=1e-3)


def test_no_two_models_of_a_path_are_the_same(digits: Any) -> None:
    """However loose the tolerance, each model of a path has moved from the one before it."""
    X, y = digits
    models = FastLogisticRegression(tol=0.5).path(X, y, [0.5, 1.0, 1.1, 10.0])
    for one, other in pairwise(models):
        assert np.abs(one.coef_ - other.coef_).max() > 1e-6
        assert other.n_iter_[0] >= 1


def test_warm_start_goes_on(digits: Any) -> None:
    """With a warm start, a solved problem takes no further step; other data begins anew."""
    X, y = digits
    model = FastLogisticRegression(warm_start=True).fit(X, y)
    assert model.n_iter_[0] > 0
    assert model.fit(X, y).n_iter_[0] == 0
    assert model.fit(X[:, :10], y).coef_.shape == (10, 10)


@pytest.mark.parametrize("objective_", ["multinomial", "ovr"])
@pytest.mark.parametrize("classes", [2, 10])
def test_there_and_back_from_scikit_learn(digits: Any, objective_: str, classes: int) -> None:
    """`to_sklearn` predicts the same; a LogisticRegression comes back through `from_sklearn`."""
    X, y = digits
    X, y = X[y < classes], y[y < classes]
    ours = FastLogisticRegression(objective_).fit(X, y)
    theirs = ours.to_sklearn()
    assert isinstance(
        theirs, LogisticRegression if classes == 2 or objective_ == "multinomial" else OneVsRestClassifier
    )
    np.testing.assert_allclose(theirs.predict_proba(X), ours.predict_proba(X), atol=1e-12)
    np.testing.assert_array_equal(theirs.predict(X), ours.predict(X))
    if isinstance(theirs, LogisticRegression):
        again = FastLogisticRegression.from_sklearn(theirs)
        np.testing.assert_array_equal(again.predict_proba(X), ours.predict_proba(X))
        assert again.fit(X, y).n_iter_[0] == 0
    with pytest.raises(UsageError, match="no fitted"):
        FastLogisticRegression.from_sklearn(LogisticRegression())


def test_it_is_registered_without_trust(digits: Any, tmp_path: Path) -> None:
    """A fitted model goes to skops and back with nothing more to trust."""
    X, y = digits
    model = FastLogisticRegression().fit(X, y)
    again = loads_model(save_model(model, tmp_path).read_bytes(), "skops")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_bytes_are_read_as_they_are() -> None:
    """uint8 pixels, bare or scaled as rows, in memory or in a file, give the model of the float matrix."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (500, 4, 5), dtype=np.uint8)
    y = (images[:, 0, 0] > 128) + (images[:, 3, 4] > 128)
    X = (images.reshape(500, -1) / 255).astype(np.float32)
    expected = FastLogisticRegression(tol=1e-6).fit(X, y)
    from_rows = FastLogisticRegression(tol=1e-6).fit(ArrayRows(images.reshape(500, -1), scale=1 / 255), y)
    np.testing.assert_allclose(from_rows.coef_, expected.coef_, atol=1e-3)
    bare = FastLogisticRegression(C=1 / 255**2, tol=1e-6).fit(images.reshape(500, -1), y)
    np.testing.assert_allclose(bare.coef_ * 255, expected.coef_, atol=2e-3)


def test_a_file_is_as_good_as_memory(tmp_path: Path) -> None:
    """Rows from an IDX file give the same model, bit for bit; what is no such file is refused."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9000, 4, 5), dtype=np.uint8)
    y = (images[:, 0, 0] > 128) * 1 + (images[:, 3, 4] > 128)
    write_idx(tmp_path / "images-idx3-ubyte", images)
    one = FastLogisticRegression(random_state=0).fit(FileRows(tmp_path / "images-idx3-ubyte"), y)
    two = FastLogisticRegression(random_state=0).fit(ArrayRows(images.reshape(9000, -1), scale=1 / 255), y)
    np.testing.assert_array_equal(one.coef_, two.coef_)
    write_idx(tmp_path / "packed.gz", images)
    for bad in (tmp_path / "packed.gz", tmp_path / "nothing"):
        with pytest.raises((DataFormatError, OSError)):
            FileRows(bad)


def test_callbacks_follow_the_descent(digits: Any) -> None:
    """The callback sees each step; the objective never rises."""
    X, y = digits
    seen: list[tuple[int, float, float]] = []
    model = FastLogisticRegression(callback=lambda *step: seen.append(step)).fit(X, y)
    values = [value for _, value, _ in seen]
    assert [i for i, _, _ in seen] == list(range(len(seen)))
    assert values == sorted(values, reverse=True)
    assert seen[-1][2] <= model.tol
    assert model.n_iter_[0] == len(seen) - 1


def test_not_converging_is_a_warning(digits: Any) -> None:
    """Too few steps give scikit-learn's ConvergenceWarning, and a usable model."""
    X, y = digits
    with pytest.warns(ConvergenceWarning, match="failed to converge in 1 Newton steps"):
        model = FastLogisticRegression(max_iter=1).fit(X, y)
    assert not model.converged_
    assert model.score(X, y) > 0.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"C": 0}, "C=0"),
        ({"C": -1}, "C=-1"),
        ({"C": float("nan")}, "C=nan"),
        ({"tol": 0}, "tol=0"),
        ({"max_iter": 0}, "max_iter=0"),
        ({"objective": "hinge"}, "'multinomial' or 'ovr'"),
    ],
)
def test_bad_parameters_are_named(digits: Any, options: dict[str, Any], words: str) -> None:
    """A parameter that can't be is a ValueError that names it."""
    with pytest.raises(ValueError, match=words):
        FastLogisticRegression(**options).fit(*digits)


def test_bad_data_is_refused(digits: Any) -> None:
    """NaN, one class, negative weights and labels that don't fit the rows are errors."""
    X, y = digits
    with pytest.raises(ValueError, match="NaN"):
        FastLogisticRegression().fit(np.where(X > 0.9, np.nan, X), y)
    with pytest.raises(ValueError, match=r"only one class, 0\.0:"):
        FastLogisticRegression().fit(X, np.zeros(len(y)))
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        FastLogisticRegression().fit(X, y, sample_weight=np.where(y == 0, -1.0, 1.0))
    with pytest.raises(ValueError, match="1797 rows"):
        FastLogisticRegression().fit(ArrayRows(X), y[:-1])


def test_features_beyond_the_preconditioner(monkeypatch: pytest.MonkeyPatch, digits: Any) -> None:
    """Where inverses would be too large, it goes without, to the same optimum."""
    monkeypatch.setattr("mnistkit.estimators.preconditioner._MAX_HESSIAN_ITEMS", 1)
    X, y = digits
    plain = FastLogisticRegression(tol=1e-6).fit(X, y)
    monkeypatch.undo()
    np.testing.assert_allclose(plain.coef_, FastLogisticRegression(tol=1e-6).fit(X, y).coef_, atol=1e-3)


def test_a_solution_starts_the_next_one(digits: Any) -> None:
    """A solution is a start for a similar problem, and serves it with its preconditioner: one step is enough."""
    X, y = digits
    problem = Problem(
        rows=ArrayRows(X),
        labels=y,
        weights=None,
        objective=Multinomial(),
        columns=10,
        penalty=1.0,
        intercept=True,
        intercept_penalty=0.0,
    )
    first = minimize(problem, tol=1e-6, max_iter=50, n_threads=1, seed=0)
    again = minimize(problem, start=first, tol=1e-6, max_iter=50, n_threads=1, seed=0)
    assert (again.iterations, again.converged) == (1, True)
    assert first.iterations > 1
