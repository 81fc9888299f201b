"""What the tests of plots draw: real digits, and a classifier, runs and a sweep that are the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from mnistkit.data.dataset import Dataset
from mnistkit.data.split import Split
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.record import MetricPoint, RunRecord, RunState, Transition
from mnistkit.runs.run import Run
from mnistkit.sweeps.sweep import Sweep, Trial

START = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
WAY = {"Queued": 0, "Preparing": 1.5, "Running": 2, "Finalizing": 14.5, "Completed": 15}


def digits(names: Sequence[str] = tuple("0123456789")) -> Dataset:
    """The first 800 of scikit-learn's digits, 500 of them to train on."""
    found = load_digits()
    images = (found.images[:800] * (255 / 16)).astype(np.uint8)
    labels = found.target[:800].astype(np.uint8)
    train, test = (Split(images=images[part], labels=labels[part]) for part in (slice(500), slice(500, 800)))
    return Dataset(name="digits", version="1", uri="digits", class_names=tuple(names), train=train, test=test)


def nearest_mean(dataset: Dataset, sharpness: float = 0.5) -> LogisticRegression:
    """The linear classifier that takes an image for the class whose mean is nearest; nothing is fitted."""
    X, y = dataset.train.X(np.float64), dataset.train.y
    means = np.stack([X[y == label].mean(axis=0) for label in range(len(dataset.class_names))])
    model = LogisticRegression()
    model.classes_ = np.arange(len(means))
    model.coef_ = 2 * sharpness * (means - means.mean(axis=0))
    model.intercept_ = -sharpness * ((means**2).sum(axis=1) - (means.mean(axis=0) ** 2).sum())
    model.n_features_in_ = X.shape[1]
    model.n_iter_ = np.ones(1, dtype=np.int32)
    return model


def run(
    times: Mapping[str, float] = WAY, metrics: Mapping[str, float] | None = None, limit: int | None = None, **more: Any
) -> Run:
    """A run that entered each state so many seconds after it was submitted."""
    transitions = tuple(Transition(RunState(name), START + timedelta(seconds=at)) for name, at in times.items())
    points = tuple(MetricPoint(name, value, None, START) for name, value in (metrics or {}).items())
    job = TrainingJob(model=ModelSpec("sklearn.svm.SVC"), limit=limit)
    values = {"id": "run-1", "job": job, "data": "digits", "transitions": transitions, "points": points, **more}
    return Run(InProcessCompute("there is no such folder"), RunRecord(**values))


def logged(number: int = 0, n: int = 12, **more: Any) -> Run:
    """A run that logged a falling objective over some steps, a constant one a single time, and NaN in between."""
    values = [math.nan if step == 5 else 100 / (step + 1 + number) for step in range(n)]
    points = tuple(MetricPoint("objective", value, 10 * step, START) for step, value in enumerate(values))
    return run(points=(*points, MetricPoint("accuracy", 0.9, None, START)), id=f"run-{number:06d}", **more)


def sweep(
    *tried: tuple[Mapping[str, Any], float], rungs: Sequence[tuple[int, int | None]] | None = None, name: str = "s"
) -> Sweep:
    """A sweep with the accuracy of each combination; with halving, its rung and its number of training images."""
    trials = []
    for i, (params, accuracy) in enumerate(tried):
        rung, limit = rungs[i] if rungs else (None, None)
        trials.append(Trial(params=params, run=run(metrics={"accuracy": accuracy}, limit=limit, id=f"r{i}"), rung=rung))
    return Sweep(name, tuple(trials))


def regularization() -> Sweep:
    """Six rates, with and without an intercept."""
    curve = {0.001: 0.84, 0.01: 0.908, 0.1: 0.95, 1.0: 0.972, 10.0: 0.975, 100.0: 0.969}
    return sweep(
        *(({"C": C, "fit_intercept": True}, accuracy) for C, accuracy in curve.items()),
        *(({"C": C, "fit_intercept": False}, accuracy - 0.01) for C, accuracy in curve.items()),
    )


def halved() -> Sweep:
    """Four combinations on 100 images, two of them on 200, one on all."""
    return sweep(
        *(({"C": C}, accuracy) for C, accuracy in ((0.1, 0.80), (1, 0.86), (10, 0.87), (100, 0.83))),
        *(({"C": C}, accuracy) for C, accuracy in ((1, 0.91), (10, 0.90))),
        ({"C": 1}, 0.95),
        rungs=[*[(0, 100)] * 4, *[(1, 200)] * 2, (2, None)],
    )


def halving(tried: Sequence[Mapping[str, Any]]) -> Sweep:
    """All combinations on 100 images, the last three on 300, the last on all."""
    rungs: list[tuple[int, int | None]] = [*[(0, 100)] * len(tried), *[(1, 300)] * 3, (2, None)]
    trials = [*tried, *tried[-3:], tried[-1]]
    return sweep(*((params, 0.5 + i / 200) for i, params in enumerate(trials)), rungs=rungs)
