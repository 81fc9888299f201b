"""Points of a space of hyperparameters, drawn at random or from a grid."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import check_types
from mnistkit.emulator.routing import Refusal

__all__ = ["configurations"]


def configurations(
    generator: Mapping[str, Any], total: int, tried: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return the hyperparameters of each child run, by name, in order.

    Args:
        generator: A HyperDrive ``generator_config``: a name, a parameter space, and as a property of random sampling
            a ``seed``; without one it is 0, so that the same sweep tries the same values again.
        total: At most how many.
        tried: Points of earlier sweeps, which aren't tried again.

    Raises:
        Refusal: 400: it can't be understood, or asks for a way of sampling that isn't emulated.
    """
    check_types(generator, properties=dict)
    name, space = str(generator.get("name", "")).lower(), generator.get("parameter_space")
    properties = dict(generator.get("properties") or {})
    if name not in {"random", "grid"}:
        raise NotEmulated(
            "sweeps", f"Sampling by {generator.get('name')!r} isn't emulated: use random or grid sampling."
        )
    if not isinstance(space, dict) or not space:
        raise Refusal(400, "The parameter space has to be an object that isn't empty.")
    seed = properties.pop("seed", 0) if name == "random" else 0
    if properties or not isinstance(seed, int):
        raise Refusal(
            400, f"The emulator can't sample with {generator.get('properties')}: it knows a whole seed alone."
        )
    parsed = {parameter: _parse(parameter, expression) for parameter, expression in space.items()}
    if name == "grid":
        grids = [_options(parameter, *parsed[parameter]) for parameter in parsed]
        points = (dict(zip(parsed, point, strict=True)) for point in itertools.product(*grids))
        return list(itertools.islice((point for point in points if point not in tried), total))
    source = random.Random(seed)  # noqa: S311 - sampling, no secrets
    drawn = ({name: _draw(source, *parsed[name]) for name in parsed} for _ in range(total + len(tried)))
    return list(itertools.islice((point for point in drawn if point not in tried), total))


_DISTRIBUTIONS: Mapping[str, tuple[int, Callable[..., float]]] = {
    "randint": (1, lambda source, upper: int(source.random() * upper)),
    "uniform": (2, lambda source, low, high: source.uniform(low, high)),
    "quniform": (3, lambda source, low, high, q: _rounded(source.uniform(low, high), q)),
    "loguniform": (2, lambda source, low, high: math.exp(source.uniform(low, high))),
    "qloguniform": (3, lambda source, low, high, q: _rounded(math.exp(source.uniform(low, high)), q)),
    "normal": (2, lambda source, mu, sigma: source.gauss(mu, sigma)),
    "qnormal": (3, lambda source, mu, sigma, q: _rounded(source.gauss(mu, sigma), q)),
    "lognormal": (2, lambda source, mu, sigma: math.exp(source.gauss(mu, sigma))),
    "qlognormal": (3, lambda source, mu, sigma, q: _rounded(math.exp(source.gauss(mu, sigma)), q)),
}


def _rounded(value: float, q: float) -> float:
    return round(value / q) * q


def _parse(parameter: str, expression: object) -> tuple[str, Sequence[Any]]:
    """Return an expression's kind and arguments: ``["uniform", [0.1, 1]]``, ``["choice", [[1, 2]]]``."""
    if not isinstance(expression, list) or len(expression) != 2:  # noqa: PLR2004 - kind and arguments
        raise Refusal(400, f"The expression of {parameter!r} can't be understood: {expression!r}.")
    kind, arguments = expression
    if kind == "choice":
        is_right = isinstance(arguments, list) and len(arguments) == 1 and isinstance(arguments[0], list)
        options = arguments[0] if is_right else []
        if not options or not all(isinstance(option, (str, int, float)) for option in options):
            raise Refusal(400, f"The choice of {parameter!r} has to be among texts and numbers, not {arguments!r}.")
        return kind, options
    if not isinstance(kind, str) or kind not in _DISTRIBUTIONS:
        raise NotEmulated(
            "sweeps", f"The distribution {kind!r} of {parameter!r} isn't emulated, only {sorted(_DISTRIBUTIONS)}."
        )
    count, _ = _DISTRIBUTIONS[kind]
    numbers = arguments if isinstance(arguments, list) else []
    if len(numbers) != count or not all(isinstance(one, (int, float)) and math.isfinite(one) for one in numbers):
        raise Refusal(400, f"The distribution {kind!r} of {parameter!r} takes {count} numbers, not {arguments!r}.")
    if kind.startswith("q") and numbers[-1] <= 0:
        raise Refusal(400, f"The distribution {kind!r} of {parameter!r} needs steps above 0, not {numbers[-1]!r}.")
    return kind, numbers


def _options(parameter: str, kind: str, options: Sequence[Any]) -> Sequence[Any]:
    if kind != "choice":
        raise Refusal(400, f"A grid is made of choices, and {parameter!r} is {kind!r}.")
    return options


def _draw(source: random.Random, kind: str, arguments: Sequence[Any]) -> Any:
    if kind == "choice":
        return arguments[int(source.random() * len(arguments))]
    try:
        return _DISTRIBUTIONS[kind][1](source, *arguments)
    except OverflowError:
        raise Refusal(400, f"The distribution {kind!r} with {arguments} gives numbers that are too large.") from None
