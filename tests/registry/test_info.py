"""What is registered with a model, as one value: checked when it is made, kept in the manifest, read again."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from attrs import evolve

from mnistkit.errors import IntegrityError, UsageError
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models.input import InputSpec
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.manifest import MANIFEST, Manifest, read_version

SPEC = InputSpec(
    height=7,
    width=28,
    scale=1.0,
    inverted=True,
    centred=True,
    class_names=("zéro", "un"),
    dataset="digits",
    dataset_sha256="0123456789abcdef" * 4,
)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "high", None, 10**400])
def test_metrics_are_finite_numbers(value: object) -> None:
    """A metric that isn't a finite number is refused by its name."""
    with pytest.raises(UsageError, match="log loss"):
        ModelInfo(format="files", metrics={"accuracy": 0.9, "log loss": value})  # type: ignore[dict-item]  # that is the point


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": "pickle"},
        {"metrics": {1: 0.5}},
        {"metrics": {"\ud800": 0.5}},
        {"tags": {"n": 3}},
        {"tags": {3: "n"}},
        {"tags": {"n": "\udcff"}},
        {"description": "\ud800"},
        {"description": None},
        {"description": b"bytes"},
        {"run_id": 3},
        {"input": {"height": 28}},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, object]) -> None:
    """Unknown formats, metrics without a name, tags that aren't text and texts that aren't Unicode are usage errors."""
    with pytest.raises(UsageError):
        ModelInfo(**{"format": "files", **wrong})  # type: ignore[arg-type]  # that is the point


def test_an_unknown_format_lists_the_known() -> None:
    """The message of an unknown format lists the formats there are."""
    with pytest.raises(UsageError, match=r"skops.*joblib.*linear.*files"):
        ModelInfo(format="pickle")


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 0},
        {"height": 28.0},
        {"width": True},
        {"width": 1 << 20},
        {"scale": 0.0},
        {"scale": math.nan},
        {"scale": "255"},
        {"inverted": 1},
        {"centred": "no"},
        {"class_names": ("a", 3)},
        {"class_names": ("\ud800",)},
        {"dataset": None},
        {"dataset_sha256": "ABC"},
    ],
)
def test_impossible_inputs_are_refused(wrong: dict[str, object]) -> None:
    """A size, scale, flag, name or sha256 that can't be is a usage error that names the field."""
    with pytest.raises(UsageError, match=next(iter(wrong))):
        InputSpec(**{"height": 28, "width": 28, **wrong})  # type: ignore[arg-type]  # that is the point


def test_the_input_travels_with_the_version(tmp_path: Path) -> None:
    """The description of the input is in the manifest, and comes back equal on the fast way and on the slow one."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model.bin").write_bytes(b"model")
    registry = FolderRegistry(tmp_path / "home")
    model = registry.register("digits", tmp_path / "files", ModelInfo(format="files", input=SPEC))
    assert registry.get("digits").input == model.input == SPEC
    assert registry.versions("digits")[0].input == SPEC
    data = (Path(model.location) / MANIFEST).read_bytes()
    assert Manifest.parse(data, "m").input == SPEC
    assert SPEC.n_features == 196


def test_versions_without_an_input_stay_readable() -> None:
    """A manifest from before there was an input is read, on both ways, and its digest is that of its bytes."""
    manifest = Manifest.of("digits", ModelInfo(format="files", tags={"a": "b"}), files={})
    plain = json.loads(manifest.to_bytes())
    del plain["input"]
    data = json.dumps(plain).encode()
    fast = read_version(data, 3, "here", "digits:3")
    slow = Manifest.parse(data, "digits:3").as_version(3, data, "here")
    assert fast == slow
    assert fast.input is None
    assert fast.digest != manifest.as_version(3, manifest.to_bytes(), "here").digest


@pytest.mark.parametrize("change", [{"height": 0}, {"scale": 0}, {"dataset_sha256": "x"}, {"unknown": 1}])
def test_an_altered_input_is_found(change: dict[str, object]) -> None:
    """A manifest whose input can't be is an `IntegrityError` that names the version."""
    plain = json.loads(Manifest.of("digits", ModelInfo(format="files", input=SPEC), files={}).to_bytes())
    plain["input"] |= change
    with pytest.raises(IntegrityError, match="digits:3"):
        read_version(json.dumps(plain).encode(), 3, "here", "digits:3")


def test_equal_infos_are_equal() -> None:
    """An info is a value: equal content is equal, a change makes another."""
    info = ModelInfo(format="files", metrics={"accuracy": 1})
    assert info == ModelInfo(format="files", metrics={"accuracy": 1.0})
    assert evolve(info, run_id="r") != info
