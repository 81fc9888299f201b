"""Booby-trapped files at every entry: nothing that is stored with a model runs, whatever is asked of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit.errors import ModelError, UsageError
from mnistkit.models.linear import ARRAYS_FILE, HEADER_FILE, loads_linear
from mnistkit.models.persistence import loads_model, save_model
from mnistkit.models.probe import PROBE_FILE, Probe
from mnistkit.registry.export import export_version
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.loading import load_model
from mnistkit.registry.version import ModelVersion
from mnistkit.trainer import Trainer
from support.pickle_payloads import traps

Program = Callable[..., Any]

_ALLOWED = {"trusted": ["posix.mkdir", "nt.mkdir", "builtins.list"], "allow_version_mismatch": True}
_FILES = [
    ("skops", "model.skops"),
    ("skops", "x.skops"),
    ("joblib", "sklearn_mnist_model.pkl"),
    ("linear", HEADER_FILE),
    ("linear", ARRAYS_FILE),
    ("skops", PROBE_FILE),
    ("linear", PROBE_FILE),
    ("files", "weights.bin"),
]


def _harmless(folder: Path, format_: str) -> None:
    """A model that loads, with its probe, but of another scikit-learn: the probe will be looked at."""
    X = np.arange(20.0).reshape(10, 2)
    model = LogisticRegression().fit(X, [0, 1] * 5)
    save_model(model, folder, format="linear" if format_ == "linear" else "skops")
    Probe(X, model.predict(X), model.predict_proba(X), {"scikit-learn": "1.5.2"}).save(folder)


def _trapped(trainer: Trainer, folder: Path, format_: str, file: str, content: bytes) -> ModelVersion:
    folder.mkdir(exist_ok=True)
    if file in (HEADER_FILE, ARRAYS_FILE, PROBE_FILE):
        _harmless(folder, format_)
    (folder / file).write_bytes(content)
    return trainer.models.register("digits", folder, ModelInfo(format=format_))


@pytest.mark.parametrize(("format_", "file"), _FILES)
def test_no_trap_runs_anywhere(format_: str, file: str, mnistkit: Program, tmp_path: Path) -> None:
    """Twelve traps x every way to load a version: refused with a typed error; the marker is never made."""
    marker, trainer = tmp_path / "marker", Trainer.local("digits")
    for number, content in enumerate(dict(traps(marker)).values()):
        version = _trapped(trainer, tmp_path / "outputs", format_, file, content)
        for load in (
            lambda: trainer.load("digits", **_ALLOWED),
            partial(trainer.load, version, **_ALLOWED, expect_digest=version.digest),
            lambda: load_model(trainer.models, "digits", **_ALLOWED),
            lambda: export_version(trainer.models, "digits", tmp_path / "model.onnx", **_ALLOWED),
        ):
            if (format_, file) != ("linear", PROBE_FILE):  # nothing looks at a linear model's but the export
                with pytest.raises(ModelError):
                    load()
        into = trainer.models.download(trainer.models.get("digits"), tmp_path / str(number))
        data = (into / file).read_bytes()
        for kind in ("skops", "joblib", "linear", "files"):
            with pytest.raises((ModelError, UsageError)):
                loads_model(data, kind, trusted=_ALLOWED["trusted"])
        with pytest.raises(ModelError):
            loads_linear(data, data)
        with pytest.raises(ModelError):
            Probe.parse(data, "it")
        assert not marker.exists()
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(("format_", "file"), _FILES)
def test_no_trap_runs_from_the_command_line(format_: str, file: str, mnistkit: Program, tmp_path: Path) -> None:
    """Twelve traps x every command that looks at a version: the marker is never made, and no model scores."""
    marker, trainer = tmp_path / "marker", Trainer.local("digits")
    for content in dict(traps(marker)).values():
        _trapped(trainer, tmp_path / "outputs", format_, file, content)
        for command in ("show digits", f"download digits --into {tmp_path / 'into'}", "verify digits", "list"):
            mnistkit("models", *command.split())
        if (format_, file) != ("linear", PROBE_FILE):
            mnistkit(
                "predict", "--index", 0, "--data", "digits", "--model", "digits", "--allow-version-mismatch", code=1
            )
        mnistkit("models", "export", "digits", "--to", "m.onnx", "--allow-version-mismatch", code=1)
        assert not marker.exists()
    assert not Path("m.onnx").exists()


def test_a_careless_loader_does_run_them(tmp_path: Path) -> None:
    """The traps are set: who reads a probe or a model as many programs do makes the marker."""
    marker = tmp_path / "marker"
    content = dict(traps(marker))["pickle protocol 5"]
    (tmp_path / PROBE_FILE).write_bytes(content)
    pickle.loads(content)  # noqa: S301 - that is the point
    marker.rmdir()
    np.load(tmp_path / PROBE_FILE, allow_pickle=True)
    marker.rmdir()
