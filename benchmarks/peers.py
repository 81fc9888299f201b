"""Other solvers of the multinomial problem, next to ours at the objective that each of them reaches.

MNIST at rate 0.8 (C = 1.25), float32. Each peer runs to its default tolerance, or for the number of iterations that its
label gives; ours then runs until its objective is no higher. The objectives are computed apart from the solvers.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from harness import Result, in_turn
from objectives import fit_to, rows_of, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from data import mnist
from mnistkit import Dataset

__all__ = ["long_results", "results"]

_RATE = 0.8
_INSTALL = "pip install --group peers"

Fit = Callable[[Any, Any], tuple[Any, Any, int]]
"""From X and y to the coefficients ``(k, d)``, the intercepts ``(k,)``, and how many iterations it took."""


def results(*, quick: bool) -> Iterator[Result]:
    """scikit-learn's lbfgs, newton-cg and saga, Intel's lbfgs and PyTorch's; what isn't installed is left out."""
    dataset = mnist(1000 if quick else None)
    peers: dict[str, Fit | None] = {
        "scikit-learn lbfgs": _sklearn("lbfgs"),
        "scikit-learn lbfgs, on one thread": _sklearn("lbfgs", threads=1),
        "scikit-learn newton-cg": _sklearn("newton-cg"),
        "scikit-learn saga, at most 50 iterations": _sklearn("saga", max_iter=50),
        "scikit-learn-intelex lbfgs": _intelex(),
        "PyTorch LBFGS": _torch(),
    }
    for label, fit in peers.items():
        if fit is not None:
            yield _compare(dataset, label, fit, quick=quick)


def long_results(*, quick: bool) -> Iterator[Result]:
    """scikit-learn's newton-cholesky: a Hessian of 7850 x 7850 numbers in each step takes minutes."""
    dataset = mnist(1000 if quick else None)
    label = "scikit-learn newton-cholesky, at most 3 iterations"
    yield _compare(dataset, label, _sklearn("newton-cholesky", max_iter=3), quick=quick)


def _compare(dataset: Dataset, label: str, fit: Fit, *, quick: bool) -> Result:
    X, y, rows = dataset.train.X(), dataset.train.y, rows_of(dataset.train.images)
    models: list[tuple[Any, Any, int]] = []
    goals: list[float] = []
    reached: list[float] = []
    times = in_turn(
        lambda: models.append(fit(X, y)),
        lambda: reached.append(fit_to(goals[-1], rows, y, _RATE)),
        between=lambda: goals.append(softmax(X, y, *models[-1][:2], _RATE)),
        quick=quick,
    )
    return Result(
        what=f"multinomial at rate {_RATE}",
        a=f"{label}: {goals[-1]:.1f} after {models[-1][2]} iterations",
        b=f"FastLogisticRegression: {reached[-1]:.1f}",
        **times,
    )


def _sklearn(solver: str, *, max_iter: int = 10_000, threads: int | None = None, cls: Any = LogisticRegression) -> Fit:
    def fit(X: Any, y: Any) -> tuple[Any, Any, int]:
        with warnings.catch_warnings(), threadpool_limits(threads):
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = cls(C=1 / _RATE, solver=solver, max_iter=max_iter, random_state=0).fit(X, y)
        return model.coef_, model.intercept_, int(max(model.n_iter_))

    return fit


def _intelex() -> Fit | None:
    try:
        from sklearnex.linear_model import LogisticRegression as Theirs
    except ImportError:
        _say_missing("scikit-learn-intelex")
        return None
    return _sklearn("lbfgs", cls=Theirs)


def _torch() -> Fit | None:
    """Its LBFGS, on the mean loss and with the gradient bound that scikit-learn's lbfgs has by default."""
    try:
        import torch
    except ImportError:
        _say_missing("torch")
        return None

    def fit(X: Any, y: Any) -> tuple[Any, Any, int]:
        features, labels, n = torch.from_numpy(X), torch.from_numpy(y), len(y)
        layer = torch.nn.Linear(X.shape[1], int(labels.max()) + 1)
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        optimizer = torch.optim.LBFGS(
            layer.parameters(),
            max_iter=10_000,
            tolerance_grad=1e-4,
            tolerance_change=0.0,
            history_size=10,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Any:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(layer(features), labels)
            loss = loss + _RATE / 2 / n * layer.weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        iterations = optimizer.state_dict()["state"][0]["n_iter"]
        return layer.weight.detach().numpy(), layer.bias.detach().numpy(), iterations

    return fit


def _say_missing(package: str) -> None:
    print(f"{package} isn't installed, so it is left out: {_INSTALL}", file=sys.stderr)
