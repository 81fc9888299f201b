"""Fits on rows of a cluster as runs: recorded, evaluated on the workers, and registered."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from sklearn.linear_model import LogisticRegression

from mnistkit import Dataset, Trainer, evaluate
from mnistkit.dask import DaskCompute, DaskRows, evaluate_rows, train_rows
from mnistkit.errors import UsageError
from mnistkit.estimators import FastLogisticRegression
from mnistkit.local import FolderRegistry
from support.dask_clusters import DaskCluster


@pytest.fixture(scope="module")
def client(cluster: DaskCluster) -> Iterator[Client]:
    """A client of a cluster with two workers."""
    with Client(cluster.address, set_as_default=False) as found:
        found.wait_for_workers(2, timeout=60)
        yield found


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """scikit-learn's digits."""
    return Trainer.local(data="digits").dataset()


def parts(images: Any, labels: Any) -> list[Any]:
    """Functions that make a third of images each, moved by a pixel."""

    def make(number: int) -> Any:
        return np.roll(images[number::3], number - 1, axis=2), labels[number::3]

    return [partial(make, number) for number in range(3)]


def test_a_fit_on_a_cluster_is_a_run(cluster: DaskCluster, digits: Dataset, tmp_path: Path) -> None:
    """The run has the fit's metrics, scores that the workers computed, and a model that is registered and loaded."""
    compute = DaskCompute(tmp_path, address=cluster.address)
    trainer = Trainer(data="digits", compute=compute, models=FolderRegistry(tmp_path))
    train, test = (parts(split.images, split.labels) for split in (digits.train, digits.test))
    model = FastLogisticRegression(C=0.1, random_state=0)
    with DaskRows(compute.client, train) as rows, DaskRows(compute.client, test, in_memory=False) as test_rows:
        with trainer.start_run("moved digits") as run:
            scores = train_rows(run, model, rows, test=test_rows)
        moved = test_rows.take(np.arange(test_rows.n_rows))
        y = test_rows.labels
    assert scores.accuracy == pytest.approx(model.score(moved / 255, y))
    assert scores.accuracy > 0.8
    run = trainer.run(run.id)
    assert run.metrics["accuracy"] == scores.accuracy
    assert run.metrics["regularization rate"] == 10
    assert len(run.series("objective")) == model.n_iter_[0] + 1
    assert f"{len(digits.train)} x 64" in run.record.tags["rows"]
    version = trainer.register(run, "moved")
    np.testing.assert_array_equal(trainer.load(version.id).coef_, model.coef_)
    assert version.metrics["log loss"] == scores.log_loss
    with DaskRows(compute.client, train) as rows, trainer.start_run("here") as run:
        assert train_rows(run, model, rows).n == len(digits.test)
    compute.close()


@pytest.mark.parametrize("probabilities", [True, False])
def test_scores_are_those_of_one_process(client: Client, digits: Dataset, probabilities: bool) -> None:
    """Accuracy, confusion, the classes' scores and the log loss are `evaluate`'s, for any classifier."""
    X, y = digits.train.X(), digits.train.y
    model: Any = LogisticRegression(C=0.01, max_iter=50)
    if not probabilities:
        from sklearn.linear_model import Perceptron

        model = Perceptron(max_iter=2, tol=None)
    model.fit(X, y)
    there = evaluate(model, digits.test)
    with DaskRows(client, [digits.test.images[:50], digits.test.images[50:]]) as rows:
        scores = evaluate_rows(model, rows, digits.test.y, digits.class_names)
        assert scores.confusion == there.confusion
        assert scores.classes == there.classes
        assert scores.accuracy == there.accuracy
        assert scores.log_loss == (pytest.approx(there.log_loss, rel=1e-6) if probabilities else None)
        for labels, names, words in (
            (digits.test.y[:-1], None, "one for each row"),
            (digits.test.y / 1, None, "whole numbers"),
            (digits.test.y, ("zero", "one"), "name each class"),
        ):
            with pytest.raises(UsageError, match=words):
                evaluate_rows(model, rows, labels, names)
    with DaskRows(client, [digits.test.images[:, 1:]]) as rows, pytest.raises(UsageError, match="rows of 64"):
        evaluate_rows(model, rows, digits.test.y)
