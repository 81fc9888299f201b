"""``mnistkit models compare``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit.interfaces import DataSource
from mnistkit.trainer import Trainer

Program = Callable[..., Any]


@pytest.fixture
def two(trained: Trainer) -> Trainer:
    """Two versions: the second is much worse."""
    trained.register(trained.train(LogisticRegression(C=1e-5), limit=30), "sklearn_mnist")
    return trained


def test_compare_says_which_one_is_better(mnistkit: Program, two: Trainer) -> None:
    """The table has accuracies with intervals; difference, p-value and the verdict in words follow."""
    found = two.compare("sklearn_mnist:1", "sklearn_mnist:2")
    out = mnistkit("models", "compare", "sklearn_mnist:1", "sklearn_mnist").out
    head, _, table = out.partition("\n\n")
    assert head.splitlines()[0] == "data: digits (digits), 360 test images"
    assert head.splitlines()[1].startswith("runs: sklearn_mnist:1 of run 20")
    lines = table.splitlines()
    low, high = found.intervals()[0]
    assert lines[1].split() == [
        "sklearn_mnist:1",
        f"{found.accuracies[0]:.4f}",
        f"{low:.4f}",
        "to",
        f"{high:.4f}",
        str(found.only_first),
    ]
    assert f"difference: {found.difference:+.4f} (95% interval " in out
    assert f"p = {found.p_value:.3g} (mid-p)" in out
    assert lines[-1] == str(found)
    assert "sklearn_mnist:1 is better than sklearn_mnist:2" in out


def test_json_has_the_same(mnistkit: Program, two: Trainer) -> None:
    """JSON has counts, accuracies, intervals and p-values at full length."""
    found = two.compare("sklearn_mnist:1", "sklearn_mnist:2")
    told = mnistkit("models", "compare", "sklearn_mnist:1", "sklearn_mnist:2", "--json").json
    assert told["data"] == "digits"
    assert told["n"] == 360 == told["both_right"] + told["both_wrong"] + sum(m["right_alone"] for m in told["models"])
    assert [each["accuracy"] for each in told["models"]] == list(found.accuracies)
    assert [each["interval"] for each in told["models"]] == [list(ends) for ends in found.intervals()]
    assert (told["p_value"], told["difference_interval"]) == (found.p_value, list(found.interval()))
    assert "robustness" not in told


def test_robustness_is_an_option(mnistkit: Program, two: Trainer) -> None:
    """With --robustness both are asked for the same changed images, and the seed decides which."""
    call = ("models", "compare", "sklearn_mnist:1", "sklearn_mnist:2", "--robustness")
    first = mnistkit(*call, "--json").json["robustness"]
    assert [(each["kind"], each["amount"]) for each in first][:4] == [
        ("shift", 1),
        ("shift", 2),
        ("shift", 3),
        ("rotation", 5),
    ]
    assert mnistkit(*call, "--json").json["robustness"] == first
    assert mnistkit(*call, "--json", "--seed", "1").json["robustness"] != first
    out = mnistkit(*call).out
    assert "noise by 0.3 of the grey range" in out
    (line,) = [line for line in out.splitlines() if line.startswith("shift by 1 pixel ")]
    assert line.split()[-2:] == [f"{accuracy:.4f}" for accuracy in first[0]["accuracies"]]


def test_the_data_is_that_of_both(mnistkit: Program, two: Trainer, tiny_mnist: DataSource) -> None:
    """Models that were trained on different data need --data, and images of another size are refused."""
    other = Trainer.local(tiny_mnist.uri)
    other.register(other.train(LogisticRegression(C=0.01)), "large")
    err = mnistkit("models", "compare", "sklearn_mnist", "large", code=2).err
    assert f"sklearn_mnist:2 on digits and large:1 on {tiny_mnist.uri}" in err
    assert "--data" in err
    assert (
        "takes images of 784 pixels"
        in mnistkit("models", "compare", "sklearn_mnist", "large", "--data", "digits", code=2).err
    )


def test_a_model_that_is_not_there_is_named(mnistkit: Program, two: Trainer) -> None:
    """A reference to nothing lists what there is."""
    assert "versions there are: 1, 2" in mnistkit("models", "compare", "sklearn_mnist", "sklearn_mnist:9", code=1).err


def test_runs_are_compared(mnistkit: Program, trained: Trainer, failed_run: str) -> None:
    """Runs are named as people type them; what differs is printed, and JSON has the whole figures."""
    good = next(run for run in trained.runs() if run.id != failed_run)
    out = mnistkit("runs", "compare", good.id[-6:], "latest").out
    assert "Comparison of 2 runs" in out
    assert "no test of their predictions: they are on different data" in out
    found = mnistkit("runs", "compare", good.id, failed_run, "--json", "--no-predictions").json
    assert found["runs"] == [good.id, failed_run]
    assert found["parameters"]["C"] == ["2", "1"]
    assert found["metrics"]["accuracy"] == [good.metrics["accuracy"], None]
    assert "two to 20" in mnistkit("runs", "compare", "latest", code=2).err
