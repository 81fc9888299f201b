"""Sweeps while they run: what ``on_update`` gets, runs at a time, warm starts, and metrics that nothing logs."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit import Halving, Trainer
from mnistkit.estimators import FastLogisticRegression
from mnistkit.interfaces import DataSource
from mnistkit.runs.run import Run
from mnistkit.training import WARM_START_TAG

MODEL = LogisticRegression(max_iter=20)
FAST = FastLogisticRegression(tol=0.1)


@pytest.fixture
def trainer(tiny_mnist: DataSource) -> Trainer:
    """Everything local, on the tiny MNIST, in the test's own home."""
    return Trainer.local(data=tiny_mnist)


def warm(runs: Sequence[Run]) -> list[bool]:
    """Whether each run started from the solution of another."""
    return [WARM_START_TAG in run.record.tags for run in runs]


@pytest.mark.parametrize("parallel", [1, 2])
def test_runs_at_a_time_dont_wait_for_each_other(trainer: Trainer, parallel: int) -> None:
    """With ``parallel`` each run starts from scratch; without it those that differ in C alone follow one another."""
    assert warm(trainer.sweep(FAST, {"C": [10, 2, 0.2, 0.02]}, parallel=parallel)) == [False] * 4
    assert warm(trainer.sweep(FAST, {"C": [10, 2, 0.2, 0.02]})) == [True, True, True, False]


def test_optimizing_runs_dont_wait_for_each_other(trainer: Trainer) -> None:
    """Optuna's trials are runs of their own, also where several are submitted at once."""
    optuna = pytest.importorskip("optuna")
    space = {"C": optuna.distributions.FloatDistribution(0.1, 10)}
    assert warm(trainer.optimize(FAST, space, n=4, parallel=2)) == [False] * 4


def test_updates_have_the_runs_and_the_rest(trainer: Trainer) -> None:
    """``on_update`` gets the runs so far and the number of jobs to come; at last all runs, finished, and none."""
    seen: list[tuple[list[str], int]] = []

    def update(runs: Sequence[Run], n_waiting: int) -> None:
        seen.append(([run.id for run in runs], n_waiting))
        last[:] = [run.state.is_terminal for run in runs]

    last: list[bool] = []
    sweep = trainer.sweep(MODEL, {"C": [1, 2, 3]}, parallel=1, on_update=update)
    assert seen[0] == ([sweep[0].id], 2)
    assert seen[-1] == ([run.id for run in sweep], 0)
    assert last == [True] * 3
    assert all(len(ids) + n_waiting == 3 for ids, n_waiting in seen)
    run = trainer.train(MODEL, on_update=update)
    assert (seen[-1], last) == (([run.id], 0), [True])


def test_optimizing_updates_too(trainer: Trainer) -> None:
    """``on_update`` of `optimize` gets the trials so far, and the number of those to come."""
    optuna = pytest.importorskip("optuna")
    seen: list[tuple[int, int]] = []
    space = {"C": optuna.distributions.FloatDistribution(0.1, 10)}
    trainer.optimize(MODEL, space, n=2, on_update=lambda runs, n_waiting: seen.append((len(runs), n_waiting)))
    assert (seen[0], seen[-1]) == ((1, 1), (2, 0))


def test_halving_by_a_metric_that_nothing_logs_is_an_error(trainer: Trainer, caplog: pytest.LogCaptureFixture) -> None:
    """A misspelt metric ends the search after the first rung, and an error lists the metrics that were logged."""
    with caplog.at_level(logging.ERROR, "mnistkit"):
        sweep = trainer.sweep(MODEL, {"C": [1, 2]}, halving=Halving(factor=2, min_limit=50, metric="acuracy"))
    assert [trial.rung for trial in sweep.trials] == [0, 0]
    [record] = caplog.records
    assert "no run has logged the metric 'acuracy'" in record.getMessage()
    assert "regularization rate, accuracy, log loss, training seconds" in record.getMessage()


@pytest.mark.parametrize("parallel", [1, 3])
def test_optimizing_a_metric_that_nothing_logs_is_an_error(
    trainer: Trainer, parallel: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The search stops as soon as a run has completed without the metric, and an error lists those that were logged."""
    optuna = pytest.importorskip("optuna")
    space = {"C": optuna.distributions.FloatDistribution(0.1, 10)}
    with caplog.at_level(logging.ERROR, "mnistkit"):
        sweep = trainer.optimize(MODEL, space, n=3, metric="acuracy", parallel=parallel)
    assert len(sweep) == parallel
    [record] = caplog.records
    assert "regularization rate, accuracy, log loss, training seconds" in record.getMessage()


def test_a_metric_of_failed_runs_is_no_misspelling(trainer: Trainer, caplog: pytest.LogCaptureFixture) -> None:
    """Where no run has completed, that is the matter, and not the metric."""
    with caplog.at_level(logging.ERROR, "mnistkit.sweeps"):
        trainer.sweep(MODEL, {"C": [-1, -2]}, halving=Halving(factor=2, min_limit=50))
    assert caplog.records == []


def test_optuna_prints_nothing_of_its_own(trainer: Trainer) -> None:
    """Optuna's notes are off while it is used here, and its verbosity is the program's own afterwards."""
    optuna = pytest.importorskip("optuna")
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("optuna").addHandler(handler)
    before = optuna.logging.get_verbosity()
    try:
        space = {"C": optuna.distributions.FloatDistribution(-1, 1)}
        trainer.optimize(MODEL, space, n=2, sampler=optuna.samplers.RandomSampler(seed=3))
    finally:
        logging.getLogger("optuna").removeHandler(handler)
    assert seen == []
    assert optuna.logging.get_verbosity() == before
