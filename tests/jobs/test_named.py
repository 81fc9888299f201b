"""Estimators by name, and parameters as text."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sklearn.svm import SVC

from mnistkit.errors import MnistkitError, SpecError, UsageError
from mnistkit.jobs.named import named_estimator, parsed_value, parsed_values

MODULE = """
import unknown_package_of_mine
"""

MODELS = """
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

def make_model(C=1.0, *, scaled=True):
    return make_pipeline(StandardScaler(), SVC(C=C)) if scaled else SVC(C=C)

def broken():
    raise RuntimeError("planted by the test")

def make_class():
    return SVC

number = 5
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of the user's."""
    name = f"models_of_mine_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODELS)
    (tmp_path / f"{name}_needy.py").write_text(MODULE)
    (tmp_path / f"{name}_torn.py").write_text("def make_model(:\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10), ("-1e-3", -1e-3), ("true", True), ("True", True), ("False", False), ("null", None), ("None", None),
        ("scale", "scale"), ('"10"', "10"), ("[50, 20]", [50, 20]), ('{"0": 2}', {"0": 2}), ("", ""), ("1,2", "1,2"),
        ("nan", "nan"), ("NaN", "NaN"), ("[1,", "[1,"), ("__import__('os')", "__import__('os')"),
        ("[" * 10_000, "[" * 10_000),
    ],
)  # fmt: skip
def test_values_are_literals(text: str, value: object) -> None:
    """JSON is what it is in JSON, Python's three words are what they are there, and all else is text."""
    found = parsed_value(text)
    assert found == value
    assert type(found) is type(value)


def test_several_values() -> None:
    """Values are separated by commas, or are a JSON list, which may hold lists."""
    assert parsed_values("0.1,1, 10") == [0.1, 1, 10]
    assert parsed_values("scale,auto") == ["scale", "auto"]
    assert parsed_values("[[50], [100, 50]]") == [[50], [100, 50]]
    assert parsed_values("rbf") == ["rbf"]
    for bad in ("", "1,,2", "1,", "[]"):
        with pytest.raises(UsageError, match="separated by commas"):
            parsed_values(bad)


def test_classes_and_functions(models: str) -> None:
    """A class is made with its parameters, a function called with its own; the others are set on what it returns."""
    assert (
        named_estimator("sklearn.svm:SVC", {"C": 10, "gamma": "auto"}).get_params()
        == SVC(C=10, gamma="auto").get_params()
    )
    pipeline = named_estimator(f"{models}:make_model", {"C": 2, "svc__kernel": "poly"})
    assert (pipeline.get_params()["svc__C"], pipeline.get_params()["svc__kernel"]) == (2, "poly")
    assert isinstance(named_estimator(f"{models}:make_model", {"scaled": False}), SVC)


@pytest.mark.parametrize(
    ("name", "params", "error", "words"),
    [
        ("sklearn.svm:SVC", {"c": 1}, UsageError, r"no parameter 'c'; it has C, break_ties.*Did you mean 'C'"),
        ("MODELS:make_model", {"D": 1}, UsageError, r"no parameter 'D'; it has C, memory, scaled"),
        ("sklearn.svm.SVC", {}, UsageError, "write MODULE:NAME"),
        ("sklearn.svm:", {}, UsageError, "write MODULE:NAME"),
        ("sklearn.svm:SVC()", {}, UsageError, "write MODULE:NAME"),
        ("sklearn.svm:SVX", {}, UsageError, r"no class or function 'SVX'; it has LinearSVC.*, SVC"),
        ("MODELS:number", {}, UsageError, "function 'number'; it has SVC, StandardScaler, broken, make_class"),
        ("no_such_module_at_all:x", {}, UsageError, "no module 'no_such_module_at_all'"),
        ("sklearn.no_such:x", {}, UsageError, r"no module 'sklearn\.no_such'"),
        ("MODELS_needy:x", {}, SpecError, "unknown_package_of_mine"),
        ("MODELS_torn:x", {}, SpecError, "SyntaxError"),
        ("MODELS:broken", {}, SpecError, "RuntimeError: planted"),
        ("MODELS:make_class", {}, SpecError, "name a scikit-learn estimator"),
        ("sklearn.metrics:accuracy_score", {}, SpecError, "can't be made with no parameters"),
        ("sklearn.multiclass:OneVsRestClassifier", {}, SpecError, "estimator"),
    ],
)  # fmt: skip
def test_what_can_not_be(
    models: str, name: str, params: dict[str, object], error: type[MnistkitError], words: str
) -> None:
    """What isn't there, or can't be made, is an error that names it and lists what there is."""
    with pytest.raises(error, match=words):
        named_estimator(name.replace("MODELS", models), params)
