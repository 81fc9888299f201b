"""The parameters of mnistkit's own classifiers, at hand without importing scikit-learn.

A program that submits one as a `ModelSpec` needs no numeric library: the process that fits it has imported them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mnistkit.jobs.spec import JsonValue, ModelSpec, check_classifier

__all__ = ["DEFAULTS", "check_model", "own_model"]

DEFAULTS: Final[Mapping[str, Mapping[str, JsonValue]]] = {
    "mnistkit.estimators.FastLogisticRegression": {
        "objective": "multinomial",
        "C": 1.0,
        "tol": 1e-4,
        "max_iter": 100,
        "fit_intercept": True,
        "penalize_intercept": False,
        "class_weight": None,
        "warm_start": False,
        "n_jobs": None,
        "random_state": None,
        "callback": None,
    }
}
"""Every parameter of a class by name, with its default."""


def own_model(path: str, **params: JsonValue) -> ModelSpec:
    """Return the spec of one of these classes, as `ModelSpec.from_estimator` describes an instance.

    Args:
        path: Its import path.
        params: Numbers, text, bools or None.
    """
    known = DEFAULTS[path]
    return ModelSpec(path, {name: value for name, value in params.items() if value != known[name]})


def check_model(model: ModelSpec) -> None:
    """Check that a spec describes a classifier: one of these by its parameters, any other by building it.

    Raises:
        SpecError: It can't be built, or doesn't predict classes.
    """
    known = DEFAULTS.get(model.type, {})
    plain = (bool, int, float, str, type(None))
    if not (known and all(name in known and isinstance(value, plain) for name, value in model.params.items())):
        check_classifier(model.build())
