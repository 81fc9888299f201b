"""The parameters of mnistkit's own classifiers, without importing them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from mnistkit.errors import SpecError
from mnistkit.estimators import FastLogisticRegression
from mnistkit.jobs.import_paths import imported
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.parameters import default_parameters
from mnistkit.jobs.signatures import DEFAULTS, check_model, own_model
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.record import RunState
from mnistkit.trainer import Trainer

FAST = "mnistkit.estimators.FastLogisticRegression"


@pytest.mark.parametrize("path", DEFAULTS)
def test_the_table_is_what_the_class_has(path: str) -> None:
    """Each class has these parameters with these defaults, and no others."""
    parameters = inspect.signature(imported(path, path)).parameters
    assert {name: each.default for name, each in parameters.items()} == DEFAULTS[path]


@pytest.mark.parametrize(
    "params", [{}, {"C": 1.0}, {"C": 2.0, "tol": 1e-3, "max_iter": 100}, {"max_iter": 7, "tol": 1e-4}]
)
def test_a_spec_is_that_of_the_instance(params: dict[str, Any]) -> None:
    """The spec made without the class is the one of an instance: runs of both have the same fingerprint."""
    spec, described = own_model(FAST, **params), ModelSpec.from_estimator(FastLogisticRegression(**params))
    assert spec == described
    job, same = TrainingJob(model=spec), TrainingJob(model=described)
    assert job.fingerprint_on({"data": "1"}) == same.fingerprint_on({"data": "1"})
    assert default_parameters(job) == {name: DEFAULTS[FAST][name] for name in DEFAULTS[FAST] if name not in spec.params}


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (ModelSpec(FAST, {"bogus": 1}), "bogus"),
        (ModelSpec(FAST, {"callback": {"$object": "no.such"}}), "no.such"),
        (ModelSpec("mnistkit.estimators.OrientedGradients"), "can't predict classes"),
        (ModelSpec("mnistkit.estimators.Bogus"), "Bogus"),
    ],
)
def test_what_is_no_classifier_is_refused(model: ModelSpec, what: str) -> None:
    """A wrong parameter, or a class that is no classifier, is refused before anything is submitted."""
    with pytest.raises(SpecError, match=what):
        check_model(model)


def test_a_trainer_takes_a_spec(tmp_path: Path) -> None:
    """A spec is trained as an instance is, and a wrong one is refused at once."""
    trainer = Trainer.local("digits", home=tmp_path)
    run = trainer.train(own_model(FAST, C=2.0, tol=1e-2))
    assert run.state is RunState.COMPLETED
    assert (
        trainer.job(FastLogisticRegression(C=2.0, tol=1e-2)).model
        == trainer.job(own_model(FAST, C=2.0, tol=1e-2)).model
    )
    with pytest.raises(SpecError):
        trainer.job(ModelSpec("sklearn.preprocessing.StandardScaler"))
