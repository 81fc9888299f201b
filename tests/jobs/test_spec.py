"""Estimators as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from mnistkit.errors import SpecError
from mnistkit.jobs.spec import ModelSpec, check_classifier


class Anything(ClassifierMixin, BaseEstimator):
    """Takes any parameter."""

    def __init__(self, value: Any = None) -> None:
        self.value = value


def there_and_back(estimator: Any) -> Any:
    """Through JSON text, as a job travels."""
    spec = ModelSpec.from_estimator(estimator)
    return ModelSpec(spec.type, json.loads(json.dumps(spec.params, allow_nan=False))).build()


ESTIMATORS = [
    LogisticRegression(C=0.1),
    SVC(gamma=0.05, probability=True),
    MLPClassifier((100, 50)),
    SGDClassifier(class_weight={0: 2.0, 1: 1.0}),
    make_pipeline(StandardScaler(), make_pipeline(FunctionTransformer(np.log1p), LogisticRegression())),
    VotingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(5))], weights=[1, 2]),
    CalibratedClassifierCV(OneVsRestClassifier(LogisticRegression(solver="liblinear"))),
    DecisionTreeClassifier(max_features="sqrt", min_samples_leaf=0.1),
]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_estimators_come_back_the_same(estimator: Any) -> None:
    """Any classifier, however nested, is the same after a trip through JSON."""
    assert repr(there_and_back(estimator)) == repr(estimator)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=20,
    )
)
def test_every_plain_value_comes_back_the_same(value: Any) -> None:
    """Numbers (also NaN and infinity), text, lists, tuples and dicts keep value and type."""
    assert repr(there_and_back(Anything(value)).value) == repr(value)


def test_numpy_values_travel() -> None:
    """A numpy scalar becomes Python's, an array stays one, with its dtype."""
    assert there_and_back(Anything(np.float64(0.5))).value == 0.5
    array = there_and_back(Anything(np.array([[1.0, math.nan]], dtype=np.float32))).value
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, [[1.0, math.nan]])


def test_only_what_differs_from_the_defaults_is_kept() -> None:
    """Defaults aren't written: a spec stays readable, and survives new parameters."""
    assert ModelSpec.from_estimator(LogisticRegression(C=2)) == ModelSpec(
        "sklearn.linear_model.LogisticRegression", {"C": 2}
    )


def test_what_was_learnt_stays_behind() -> None:
    """A fitted estimator travels unfitted."""
    fitted = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    assert not hasattr(there_and_back(fitted), "coef_")


class Opaque:
    """Can't be written as JSON."""


class Renamed(ClassifierMixin, BaseEstimator):
    """Keeps its argument under another name, which scikit-learn's rules forbid."""

    def __init__(self, value: int = 1) -> None:
        self.other = value


def local_class() -> type[Anything]:
    """A class that no other process can import."""

    class Local(Anything):
        pass

    return Local


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (LogisticRegression(random_state=np.random.RandomState(0)), r"LogisticRegression\.random_state.*an int"),
        (make_pipeline(Anything(Opaque())), r"Pipeline\.steps\[0\]\[1\]\.value.*Opaque"),
        (make_pipeline(FunctionTransformer(lambda x: x)), r"Pipeline\.steps\[0\]\[1\]\.func.*can't import"),
        (local_class()(), r"Local.*top level of a module"),
        (LogisticRegression, "give an instance"),
        ("mnist", "give an instance"),
        (FrozenEstimator(LogisticRegression()), "FrozenEstimator"),
        (Anything(np.zeros(20_000)), "at most 10000"),
        (Renamed(), "Renamed: get_params raises AttributeError.*attribute of the same name"),
        (make_pipeline(Renamed()), r"Pipeline.steps\[0\]\[1\]: get_params raises"),
    ],
)
def test_what_cant_travel_is_named(estimator: Any, words: str) -> None:
    """A parameter that can't be written as JSON is an error that names it."""
    with pytest.raises(SpecError, match=words):
        ModelSpec.from_estimator(estimator)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (ModelSpec("sklearn.linear_model.NoSuchThing"), "can't be imported"),
        (ModelSpec("no_such_package.Thing"), "can't be imported"),
        (ModelSpec("os.getcwd"), "isn't a scikit-learn estimator"),
        (ModelSpec("sklearn.linear_model.LogisticRegression", {"CC": 1}), "refuses its parameters.*CC"),
        (ModelSpec("sklearn.linear_model.LogisticRegression", {"C": {"$what": 1}}), r"LogisticRegression\.C"),
        (ModelSpec("sklearn.linear_model.LogisticRegression", {"C": {"$float": "x"}}), r"LogisticRegression\.C"),
        (ModelSpec("sklearn.linear_model.LogisticRegression", {"C": {}}), r"LogisticRegression\.C"),
    ],
)
def test_a_bad_spec_says_what_is_wrong(spec: ModelSpec, words: str) -> None:
    """A spec that can't be built names the class or the parameter."""
    with pytest.raises(SpecError, match=words):
        spec.build()


def test_specs_read_like_code() -> None:
    """A spec is shown as a person would write the estimator."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=2.0))
    assert str(ModelSpec.from_estimator(pipeline)) == (
        "Pipeline(steps=[('standardscaler', StandardScaler()), ('logisticregression', LogisticRegression(C=2.0))])"
    )


def test_a_class_without_a_base_of_scikit_learn_is_refused() -> None:
    """What has the methods of a classifier, but is none for scikit-learn, is a `SpecError` that says what to write."""

    class Duck:
        def fit(self, X: object, y: object) -> Duck:
            return self

        def predict(self, X: object) -> list[int]:
            return []

        def get_params(self, deep: bool = True) -> dict[str, object]:
            return {}

    with pytest.raises(SpecError, match=r"class Duck\(ClassifierMixin, BaseEstimator\)"):
        check_classifier(Duck())
