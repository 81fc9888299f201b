"""``mnistkit models keygen``, ``sign``, ``verify --key`` and ``export``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistkit.trainer import Trainer

Program = Callable[..., Any]


def test_a_signed_version_scores_and_another_does_not(
    mnistkit: Program, trained: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From making the keys to scoring with ``MNISTKIT_VERIFY_KEY``: what isn't signed is refused, and told."""
    pytest.importorskip("cryptography")
    trained.register(trained.runs()[0], "sklearn_mnist")
    assert mnistkit("models", "keygen", "k").out == "k\tk.pub\n"
    digest = trained.models.get("sklearn_mnist", 1).digest
    assert mnistkit("models", "sign", "sklearn_mnist:1", "--key", "k").out.endswith(f"\t{digest}\n")
    mnistkit("models", "verify")
    outcome = mnistkit("models", "verify", "--key", "k.pub", "--json", code=1).json
    assert [problem["model"] for problem in outcome["problems"]] == ["sklearn_mnist:2"]
    assert "isn't signed by" in outcome["problems"][0]["problem"]
    mnistkit("models", "verify", "sklearn_mnist:1", "--key", "k.pub")
    monkeypatch.setenv("MNISTKIT_VERIFY_KEY", "k.pub")
    mnistkit("models", "verify", code=1)
    mnistkit("predict", "--index", 0, "--model", "sklearn_mnist:1")
    assert "isn't signed" in mnistkit("predict", "--index", 0, "--model", "sklearn_mnist:2", code=1).err
    assert "k.pub exists" in mnistkit("models", "keygen", "k.pub", code=2).err


def test_what_is_damaged_is_not_signed(mnistkit: Program, trained: Trainer) -> None:
    """A version whose files aren't the registered ones isn't signed."""
    pytest.importorskip("cryptography")
    mnistkit("models", "keygen", "k")
    location = Path(trained.models.get("sklearn_mnist").location)
    (location / "model.skops").write_bytes(b"other")
    assert "Nothing was signed" in mnistkit("models", "sign", "sklearn_mnist", "--key", "k", code=1).err
    assert not (location.parents[1] / "signatures").exists()


def test_export_writes_onnx(mnistkit: Program, trained: Trainer) -> None:
    """Export prints the file that it wrote."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("skl2onnx")
    assert mnistkit("models", "export", "sklearn_mnist", "--to", "digits.onnx").out == "digits.onnx\n"
    assert Path("digits.onnx").stat().st_size > 1000


def test_linear_from_the_command_line(mnistkit: Program, trained: Trainer) -> None:
    """``mnistkit train --format linear`` registers JSON and numbers, which score."""
    mnistkit("train", "--data", "digits", "--format", "linear", "--name", "plain")
    model = trained.models.get("plain")
    assert model.format == "linear"
    assert json.loads((Path(model.location) / "model.linear.json").read_text())["n_features"] == 64
    [answer] = mnistkit("predict", "--index", 0, "--model", "plain", "--data", "digits", "--json").json
    assert answer["label"] == answer["truth"]
