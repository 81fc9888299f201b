"""What a tracked run costs on top of the bare ``fit`` that it tracks, with the same small data."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from harness import Result, compare
from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer, evaluate

__all__ = ["results"]


def results(*, quick: bool) -> Iterator[Result]:
    """Two comparisons, on scikit-learn's 1437 + 360 small digits: with the bare fit, and with fit and evaluation."""
    n = 5 if quick else 31
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as home:
        trainer = Trainer.local(data="digits", home=home)
        dataset = trainer.dataset()
        (X, y), _ = dataset.as_sklearn()

        def fit() -> LogisticRegression:
            return LogisticRegression(tol=1e-3).fit(X, y)

        tracked = ("Trainer.train", lambda: trainer.train(LogisticRegression(tol=1e-3)))
        yield compare("a tiny run", ("bare fit", fit), tracked, n=n)
        evaluated = ("fit + evaluate", lambda: evaluate(fit(), dataset.test, dataset.class_names))
        yield compare("a tiny run", evaluated, tracked, n=n)
