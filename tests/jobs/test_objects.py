"""Parameters of scikit-learn that are neither JSON nor estimators, and what a job can't carry."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneOut,
    PredefinedSplit,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mnistkit.errors import SpecError
from mnistkit.jobs.spec import ModelSpec, check_classifier


class Holder(ClassifierMixin, BaseEstimator):
    """Takes any parameter."""

    def __init__(self, value: Any = None) -> None:
        self.value = value


class OldOrder(BaseEstimator, ClassifierMixin):
    """Its bases are in the order that scikit-learn took until 1.6."""

    def fit(self, X: Any, y: Any) -> OldOrder:
        """Learn nothing."""
        return self

    def predict(self, X: Any) -> Any:
        """Return zeros."""
        return np.zeros(len(X))


def carried(value: Any) -> Any:
    """A parameter after the way of a job: through JSON text."""
    spec = ModelSpec.from_estimator(Holder(value))
    return ModelSpec(spec.type, json.loads(json.dumps(spec.params, allow_nan=False))).build().value


@pytest.mark.parametrize(
    "value",
    [
        KFold(3),
        StratifiedKFold(4, shuffle=True, random_state=7),
        RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=1),
        ShuffleSplit(2, test_size=0.25),
        TimeSeriesSplit(gap=1),
        LeaveOneOut(),
        PredefinedSplit([0, 1, -1]),
        make_column_selector(pattern="x[0-9]$", dtype_include=np.number),
        slice(0, 32),
        slice(None, None, 2),
        range(2, 9, 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_come_back_the_same(value: Any) -> None:
    """Splitters, column selectors, slices and ranges are made again from their arguments."""
    found = carried(value)
    assert type(found) is type(value)
    if hasattr(value, "__dict__"):
        assert json.dumps(vars(found), default=repr) == json.dumps(vars(value), default=repr)
    else:
        assert found == value


@pytest.mark.parametrize(
    "value", [stats.loguniform(0.1, 1), stats.norm(loc=3), stats.randint(1, 5)], ids=lambda v: v.dist.name
)
def test_distributions_draw_the_same(value: Any) -> None:
    """A frozen distribution draws the same numbers for a seed."""
    np.testing.assert_array_equal(carried(value).rvs(5, random_state=0), value.rvs(5, random_state=0))


def test_functions_with_arguments_come_back() -> None:
    """A `functools.partial` and a scorer compute the same as before."""
    clip = carried(functools.partial(np.clip, a_min=0, a_max=0.5))
    np.testing.assert_array_equal(clip(np.array([-1, 0.2, 2])), [0, 0.2, 0.5])
    scorer = carried(make_scorer(f1_score, average="macro", greater_is_better=False))
    model = LogisticRegression().fit([[0], [1], [2]], [0, 1, 2])
    assert scorer(model, [[0], [1]], [0, 2]) == -f1_score([0, 2], model.predict([[0], [1]]), average="macro")


def test_they_are_found_deep_in_a_search() -> None:
    """Searches and transformers with such parameters are the same afterwards."""
    for estimator in (
        GridSearchCV(LogisticRegression(), {"C": [1]}, cv=StratifiedKFold(2)),
        RandomizedSearchCV(LogisticRegression(), {"C": stats.uniform(0.1, 1)}, n_iter=2),
        make_pipeline(ColumnTransformer([("a", StandardScaler(), slice(0, 3))]), LogisticRegression()),
    ):
        spec = ModelSpec.from_estimator(estimator)
        again = ModelSpec.from_estimator(ModelSpec(spec.type, json.loads(json.dumps(spec.params))).build())
        assert again == spec


def test_a_forged_spec_makes_nothing_else() -> None:
    """Only splitters and column selectors are made by their class, and only scipy's distributions by their name."""
    for forged in (
        {"$instance": [{"$object": "subprocess.Popen"}, {"$dict": [["args", "true"]]}]},
        {"$distribution": ["__builtins__", [], {"$dict": []}]},
    ):
        with pytest.raises(SpecError):
            ModelSpec(f"{__name__}.Holder", {"value": forged}).build()


class Forgetful:
    """A splitter that doesn't keep what it was made with."""

    def __init__(self, n: int) -> None:
        self._n = n

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        """Yield nothing."""

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number."""
        return self._n


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (np.random.RandomState(0), "use an int"),
        (np.random.default_rng(0), "use an int"),
        ({1, 2}, "use a list"),
        (iter([1]), "use a list"),
        (b"text", "use text"),
        (Forgetful(3), "doesn't keep its argument 'n'"),
        (object(), "cross-validation splitters"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_advice_fits_the_parameter(value: Any, advice: str) -> None:
    """What doesn't travel is refused with what to use instead of it."""
    with pytest.raises(SpecError, match=advice):
        ModelSpec.from_estimator(Holder(value))


def _with_output() -> Any:
    return make_pipeline(StandardScaler().set_output(transform="pandas"), LogisticRegression())


@pytest.mark.parametrize(
    ("config", "estimator", "message"),
    [
        ({}, _with_output, r"steps\[0\]\[1\] has set_output\(transform='pandas'\)"),
        ({"transform_output": "pandas"}, lambda: make_pipeline(StandardScaler(), LogisticRegression()), "set_output"),
        ({"enable_metadata_routing": True}, LogisticRegression, "metadata requests"),
        ({"array_api_dispatch": False, "enable_metadata_routing": True}, _with_output, "set_output|metadata"),
    ],
    ids=["set_output", "set_config", "routing", "both"],
)
def test_what_clone_keeps_is_refused(config: dict[str, Any], estimator: Callable[[], Any], message: str) -> None:
    """What isn't a parameter would be lost on the way to the run: it is refused, with its place."""
    with config_context(**config), pytest.raises(SpecError, match=message):
        ModelSpec.from_estimator(estimator())


def test_metadata_requests_are_refused() -> None:
    """Requests that are set on an estimator are refused also where routing is off by then."""
    with config_context(enable_metadata_routing=True):
        model = make_pipeline(StandardScaler(), LogisticRegression().set_fit_request(sample_weight=True))
    with pytest.raises(SpecError, match=r"steps\[1\]\[1\] has metadata requests"):
        ModelSpec.from_estimator(model)


def test_a_classifier_without_transform_travels_with_any_output() -> None:
    """The output of transformers doesn't matter to a model that has none."""
    with config_context(transform_output="pandas"):
        ModelSpec.from_estimator(LogisticRegression())


@pytest.mark.parametrize(
    "estimator",
    [OldOrder(), make_pipeline(StandardScaler(), OldOrder()), GridSearchCV(OldOrder(), {}), FunctionTransformer()],
    ids=["alone", "in a pipeline", "in a search", "no classifier"],
)
def test_the_order_of_the_bases_is_named(estimator: Any) -> None:
    """A classifier with its mixin last is refused with the order that scikit-learn needs, wherever it sits."""
    expected = "can't predict classes" if isinstance(estimator, FunctionTransformer) else "put the mixins first"
    with pytest.raises(SpecError, match=expected):
        check_classifier(estimator)
