"""Search: grids, lists and random draws of parameters, and the rule of successive halving."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from numbers import Integral
from typing import Any, Literal

from attrs import field, frozen

from mnistkit.errors import UsageError
from mnistkit.jobs.spec import check_classifier
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.utils.arguments import check_type

__all__ = ["Halving", "check_parameters", "combinations", "configured"]


def _factor(value: int) -> int:
    check_type(value, Integral, "factor", "a whole number such as 3")
    if value < 2:  # noqa: PLR2004 - a factor of 1 halves nothing
        raise UsageError(f"factor={value}: use 2 or more: the best 1/factor of the combinations stay.")
    return value


def _min_limit(value: int) -> int:
    check_type(value, Integral, "min_limit", "a whole number of training images")
    if value < 1:
        raise UsageError(f"min_limit={value}: train on at least 1 image.")
    return value


def _metric(value: str) -> str:
    check_type(value, str, "metric", "the name of a metric that the runs log, such as 'accuracy'")
    return value


def _mode(value: Literal["max", "min"]) -> Literal["max", "min"]:
    if value not in {"max", "min"}:
        raise UsageError(f"mode={value!r}: use 'max' or 'min'.")
    return value


@frozen(kw_only=True)
class Halving:
    """Successive halving: all combinations on few images, the best of them on more, and so on up to all images.

    The rule: with ``n`` combinations the ladder has ``1 + floor(log_factor(n))`` rungs at most. Rung ``k`` trains on
    ``min_limit * factor**k`` images, the last on all of them (or on the sweep's ``limit``); rungs between that would
    need as many or more are left out. When all runs of a rung have finished, the best ``ceil(n_k / factor)`` of its
    ``n_k`` combinations reach the next rung. A run that failed or whose metric isn't finite never does; of equals the
    earlier one does.

    With 9 combinations, the defaults and MNIST: 9 runs on 1000 images, 3 on 3000, 1 on 60000. Choose ``min_limit``
    so that runs on that many images rank well: a combination that was dropped never returns. The metric
    is that of the test images, as for every choice by `Sweep.best`; keep images aside for a figure to publish.

    The source is Jamieson & Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"
    (AISTATS 2016), in the form of scikit-learn's ``HalvingGridSearchCV`` with ``n_samples`` as its resource, except
    that here the last rung always has everything.

    Attributes:
        factor: The best 1/factor of the combinations reach the next rung, with factor times the images; at least 2.
        min_limit: Training images of the first rung.
        metric: The metric that decides.
        mode: ``"max"`` if higher is better, ``"min"`` if lower is.

    Raises:
        UsageError: ``factor`` is below 2, ``min_limit`` below 1, or ``mode`` is neither.
    """

    factor: int = field(default=3, converter=_factor)
    min_limit: int = field(default=1000, converter=_min_limit)
    metric: str = field(default="accuracy", converter=_metric)
    mode: Literal["max", "min"] = field(default="max", converter=_mode)

    def limits(self, n: int, full: int) -> list[int]:
        """Return the number of training images of each rung, the last being ``full``.

        Args:
            n: The number of combinations.
            full: The number of training images of the last rung.

        Raises:
            UsageError: ``min_limit`` isn't below ``full``.
        """
        if self.min_limit >= full:
            raise UsageError(
                f"Halving can't begin with {self.min_limit} training images: the last rung has {full}. "
                "Give it a smaller min_limit."
            )
        rungs = 0
        while n >= self.factor:
            n, rungs = n // self.factor, rungs + 1
        lower = (self.min_limit * self.factor**k for k in range(rungs))
        return [*takewhile(lambda limit: limit < full, lower), full]

    def survivors(self, runs: Sequence[Run]) -> list[int]:
        """Return which of a rung's runs reach the next one: their indices, in order."""
        sign = -1 if self.mode == "max" else 1
        values = {
            index: sign * run.metrics[self.metric]
            for index, run in enumerate(runs)
            if run.state is RunState.COMPLETED and math.isfinite(run.metrics.get(self.metric, math.nan))
        }
        ranked = sorted(values, key=lambda index: (values[index], index))
        return sorted(ranked[: math.ceil(len(runs) / self.factor)])


def combinations(
    grid: Mapping[str, Any] | Iterable[Mapping[str, Any]], *, n: int | None = None, seed: int = 42
) -> list[dict[str, Any]]:
    """Return the combinations of parameters that a sweep tries, in order; numpy's scalars become Python's.

    Args:
        grid: Values by parameter: all combinations of them, or ``n`` drawn at random. Or the combinations themselves.
        n: How many to draw, as scikit-learn's ``ParameterSampler`` does: from scipy.stats distributions by their
            ``rvs``, from lists evenly; if all are lists without repetition, and all combinations if there are fewer.
        seed: Seed for the draw.

    Raises:
        UsageError: Something has the wrong shape, a distribution comes without ``n``, or there is nothing to try.
    """
    if not isinstance(grid, Mapping):
        if n is not None:
            raise UsageError(
                f"n={n} draws from values by parameter, {{'C': ...}}: a list of combinations is run whole."
            )
        check_type(grid, Iterable, "grid", "values by parameter, {'C': [0.1, 1]}, or a list of combinations")
        found = [_combination(each) for each in grid]
    else:
        _check_names(grid)
        found = _drawn(grid, n, seed) if n is not None else _all(grid)
    if not found:
        raise UsageError("The sweep has nothing to try: give at least one value for a parameter.")
    return [{name: _plain(value) for name, value in each.items()} for each in found]


def configured(estimator: Any, trials: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
    """Yield a clone of ``estimator`` per combination, with its parameters set.

    Raises:
        SpecError: ``estimator`` isn't a classifier.
        UsageError: It has no such parameter.
    """
    from sklearn.base import clone

    check_classifier(estimator)
    for params in trials:
        try:
            # Copies: a value that is an estimator itself would be changed by the parameters set within it.
            yield clone(estimator).set_params(**{name: clone(value, safe=False) for name, value in params.items()})
        except ValueError as error:
            raise UsageError(f"{dict(params)} can't be tried: {error}") from error


def check_parameters(estimator: Any, names: Iterable[str]) -> None:
    """Check that ``estimator`` has these parameters, however deep.

    Raises:
        SpecError: ``estimator`` isn't a classifier.
        UsageError: It has no such parameter; lists those that it has.
    """
    check_classifier(estimator)
    params = estimator.get_params(deep=True)
    for name in names:
        if name not in params:
            raise UsageError(
                f"{type(estimator).__name__} has no parameter {name!r}; it has {', '.join(sorted(params))}."
            )


def _combination(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"A list for a sweep holds combinations such as {{'C': 1}}; this one holds {value!r:.80}.")
    _check_names(value)
    return dict(value)


def _check_names(values: Mapping[Any, Any]) -> None:
    for name in values:
        check_type(name, str, f"The parameter {name!r:.80}", "its name, such as 'C'")


def _all(grid: Mapping[str, Any]) -> list[dict[str, Any]]:
    from sklearn.model_selection import ParameterGrid

    drawn = [name for name, values in grid.items() if hasattr(values, "rvs")]
    if drawn:
        raise UsageError(
            f"{', '.join(drawn)}: a distribution has no list of values; set n= to the number of combinations to draw."
        )
    try:
        return list(ParameterGrid(dict(grid)))
    except (TypeError, ValueError) as error:
        raise UsageError(f"The grid of a sweep maps parameters to lists of values: {error}") from error


def _drawn(space: Mapping[str, Any], n: int, seed: int) -> list[dict[str, Any]]:
    from sklearn.model_selection import ParameterGrid, ParameterSampler

    check_type(n, Integral, "n", "a whole number of combinations")
    if n < 1:
        raise UsageError(f"n={n}: draw at least 1 combination.")
    try:
        if not any(hasattr(values, "rvs") for values in space.values()):
            n = min(n, len(ParameterGrid(dict(space))))
        return list(ParameterSampler(dict(space), n, random_state=seed))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"A sweep draws from scipy.stats distributions and lists of values, by parameter: {error}"
        ) from error


def _plain(value: Any) -> Any:
    import numpy as np

    return value.item() if isinstance(value, np.generic) else value
