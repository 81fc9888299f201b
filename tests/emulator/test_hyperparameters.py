"""What HyperDrive tries."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip("h11")

from mnistkit.emulator.hyperparameters import configurations
from mnistkit.emulator.routing import Refusal


def test_grids() -> None:
    """A grid is every combination of the choices, in order, and no more than asked for."""
    space = {"a": ["choice", [[1, 2]]], "b": ["choice", [["x", "y"]]]}
    grid = configurations({"name": "GRID", "parameter_space": space}, 100)
    assert grid == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]
    assert configurations({"name": "grid", "parameter_space": space}, 3) == grid[:3]


def test_random_sampling_is_seeded() -> None:
    """Random sampling gives as many points as asked for, the same each time, and others with another seed."""
    generator: dict[str, Any] = {"name": "RANDOM", "parameter_space": {"c": ["uniform", [0.0, 1.0]]}}
    first = configurations(generator, 5)
    assert len({point["c"] for point in first}) == 5
    assert configurations(generator, 5) == first
    assert configurations({**generator, "properties": {"seed": 1}}, 5) != first


@pytest.mark.parametrize(
    ("expression", "low", "high", "step"),
    [
        (["choice", [[3, 5, 7]]], 3, 7, 2),
        (["randint", [4]], 0, 3, 1),
        (["uniform", [-1, 2.5]], -1, 2.5, None),
        (["quniform", [0, 10, 5]], 0, 10, 5),
        (["loguniform", [math.log(0.01), math.log(10)]], 0.01, 10, None),
        (["qloguniform", [0, math.log(20), 2]], 0, 20, 2),
        (["normal", [0, 1]], -6, 6, None),
        (["qnormal", [10, 2, 3]], -3, 24, 3),
        (["lognormal", [0, 1]], 0, 500, None),
        (["qlognormal", [0, 1, 2]], 0, 500, 2),
    ],
)
def test_distributions(expression: list[Any], low: float, high: float, step: float | None) -> None:
    """Each distribution gives different values, within its bounds and of its steps."""
    values = [point["x"] for point in configurations({"name": "random", "parameter_space": {"x": expression}}, 200)]
    assert len(set(values)) > 1
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in values)
    if step is not None:
        assert all(((value - (low if expression[0] == "choice" else 0)) / step) % 1 == 0 for value in values)


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ({"name": "BayesianOptimization", "parameter_space": {"a": ["choice", [[1]]]}}, "BayesianOptimization"),
        ({"name": "random", "parameter_space": {}}, "empty"),
        ({"name": "random", "parameter_space": {"a": ["choice", [[1]]]}, "properties": {"rule": "sobol"}}, "sobol"),
        ({"name": "grid", "parameter_space": {"a": ["uniform", [0, 1]]}}, "grid"),
        ({"name": "random", "parameter_space": {"a": ["choice", [[]]]}}, "choice"),
        ({"name": "random", "parameter_space": {"a": ["choice", [[{"b": 1}]]]}}, "choice"),
        ({"name": "random", "parameter_space": {"a": ["zipf", [1]]}}, "zipf"),
        ({"name": "random", "parameter_space": {"a": ["uniform", [1]]}}, "2 numbers"),
        ({"name": "random", "parameter_space": {"a": ["uniform", [0, "1"]]}}, "2 numbers"),
        ({"name": "random", "parameter_space": {"a": ["quniform", [0, 1, 0]]}}, "steps"),
        ({"name": "random", "parameter_space": {"a": ["loguniform", [1, 1e9]]}}, "too large"),
        ({"name": "random", "parameter_space": {"a": 7}}, "understood"),
    ],
)
def test_what_cannot_be_sampled_is_refused(generator: dict[str, Any], message: str) -> None:
    """Ways of sampling that aren't emulated, and spaces that can't be understood, are refused by what is wrong."""
    with pytest.raises(Refusal, match=message) as caught:
        configurations(generator, 3)
    assert caught.value.status == 400
