"""What a tracked run costs on top of the bare ``fit`` that it tracks, and what running two at a time gains."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import Result, compare, in_turn
from sklearn.linear_model import LogisticRegression, SGDClassifier

from mnistkit import Trainer, evaluate
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.local.threads import InProcessCompute

__all__ = ["results"]


def results(*, quick: bool) -> Iterator[Result]:
    """Tiny runs of both local backends with the bare fit and evaluation; then a sweep of 16 jobs, two at a time."""
    n = 5 if quick else 31
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as name:
        home = Path(name)
        models = FolderRegistry(home)
        bare = Trainer(data="digits", compute=InProcessCompute(home), models=models)
        dataset = bare.dataset()
        (X, y), _ = dataset.as_sklearn()
        classifier = LogisticRegression(tol=1e-3)

        def fit() -> LogisticRegression:
            return LogisticRegression(tol=1e-3).fit(X, y)

        evaluated = ("fit + evaluate", lambda: evaluate(fit(), dataset.test, dataset.class_names))
        for compute in (InProcessCompute(home), ProcessCompute(home)):
            trainer = Trainer(data="digits", compute=compute, models=models)
            kind = type(compute).__name__
            yield compare("a tiny run", ("bare fit", fit), (f"Trainer.train, {kind}", _train(trainer, classifier)), n=n)
            yield compare("a tiny run", evaluated, (f"Trainer.train, {kind}", _train(trainer, classifier)), n=n)
        yield _sweep(home, models, quick=quick)


def _train(trainer: Trainer, classifier: LogisticRegression):  # noqa: ANN202 - a function of no arguments
    return lambda: trainer.train(classifier)


def _sweep(home: Path, models: FolderRegistry, *, quick: bool) -> Result:
    """Jobs that use one core each, and take a second or two."""
    trainer = Trainer(data="digits" if quick else "mnist", compute=ProcessCompute(home), models=models)
    grid = {"alpha": [10.0**-k / 4 for k in range(4 if quick else 16)]}
    classifier = SGDClassifier("log_loss", max_iter=5, tol=None, random_state=0)
    trainer.train(classifier)
    return Result(
        what=f"a sweep of {len(grid['alpha'])} jobs that use one core each",
        a="one after another",
        b="two at a time",
        **in_turn(
            lambda: trainer.sweep(classifier, grid, parallel=1),
            lambda: trainer.sweep(classifier, grid, parallel=2),
            quick=quick,
        ),
    )
