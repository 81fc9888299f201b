"""Sweeps by Optuna's samplers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer
from mnistkit.errors import MissingExtraError, UsageError
from mnistkit.interfaces import DataSource
from mnistkit.runs.record import RunState

MODEL = LogisticRegression(max_iter=20)


@pytest.fixture
def trainer(tiny_mnist: DataSource) -> Trainer:
    """Everything local, on the tiny MNIST, in the test's own home."""
    return Trainer.local(data=tiny_mnist)


def test_without_optuna_the_way_to_it_is_said(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Optuna isn't installed the message has the line that installs it, and nothing is submitted."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mnistkit\[optuna\]'"):
        trainer.optimize(MODEL, {"C": [1, 2]}, n=2)
    assert not trainer.runs()


def test_the_sampler_is_told_how_good_each_was(trainer: Trainer) -> None:
    """A sampler hears the accuracy of each completed run, and that a failed one failed, before it is asked again."""
    optuna = pytest.importorskip("optuna")
    heard: list[tuple[float, str, Any]] = []

    class Listening(optuna.samplers.RandomSampler):  # type: ignore[misc, name-defined, unused-ignore] - not installed everywhere
        def after_trial(self, study: Any, trial: Any, state: Any, values: Sequence[float] | None) -> None:
            heard.append((trial.params["C"], state.name, values))

    space = {"C": optuna.distributions.FloatDistribution(-1, 1)}
    sweep = trainer.optimize(MODEL, space, n=6, sampler=Listening(seed=3), parallel=2)
    assert len(sweep) == len(trainer.runs()) == 6
    assert {run.state for run in sweep} == {RunState.COMPLETED, RunState.FAILED}
    by_c = {each["C"]: run for each, run in zip(sweep.params, sweep, strict=True)}
    assert len(heard) >= 4
    for c, state, values in heard:
        if c <= 0:
            assert (by_c[c].state, state, values) == (RunState.FAILED, "FAIL", None)
        else:
            assert (state, values) == ("COMPLETE", [by_c[c].metrics["accuracy"]])
    assert sweep.best().metrics["accuracy"] == max(run.metrics.get("accuracy", 0) for run in sweep)
    assert {run.record.tags["sweep"] for run in sweep} == {sweep.name}


def test_it_is_the_same_for_a_seed(trainer: Trainer) -> None:
    """One after another and with a seed, the default sampler asks for the same; kinds of distributions mix."""
    optuna = pytest.importorskip("optuna")
    space = {
        "C": optuna.distributions.FloatDistribution(0.01, 10, log=True),
        "fit_intercept": optuna.distributions.CategoricalDistribution([True, False]),
        "max_iter": optuna.distributions.IntDistribution(5, 20),
    }
    first, second = (trainer.optimize(MODEL, space, n=3, metric="log loss", mode="min", seed=5) for _ in range(2))
    assert first.params == second.params
    assert first.params[0].keys() == space.keys()


def test_a_sampler_that_runs_out_ends_it(trainer: Trainer) -> None:
    """GridSampler has two combinations: there are two runs, not five."""
    optuna = pytest.importorskip("optuna")
    sampler = optuna.samplers.GridSampler({"C": [0.5, 2.0]})
    space = {"C": optuna.distributions.FloatDistribution(0.1, 10)}
    sweep = trainer.optimize(MODEL, space, n=5, sampler=sampler)
    assert sorted(each["C"] for each in sweep.params) == [0.5, 2.0]
    assert [run.state for run in sweep] == [RunState.COMPLETED] * 2


def test_what_cannot_be_optimized_is_refused(trainer: Trainer) -> None:
    """A misspelt parameter, a list instead of a distribution, and numbers below 1 are errors before anything runs."""
    optuna = pytest.importorskip("optuna")
    c = optuna.distributions.FloatDistribution(0.1, 10)
    calls: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"CC": c}, {"n": 2}, "no parameter 'CC'"),
        ({"C": [1, 2]}, {"n": 2}, "CategoricalDistribution"),
        ({}, {"n": 2}, "empty"),
        ({"C": c}, {"n": 0}, "n=0"),
        ({"C": c}, {"n": 2, "mode": "best"}, "'best'"),
        ({"C": c}, {"n": 2, "parallel": 0}, "parallel=0"),
    ]
    for space, options, words in calls:
        with pytest.raises(UsageError, match=words):
            trainer.optimize(MODEL, space, **options)
    assert not trainer.runs()
