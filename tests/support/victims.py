"""Files that other programs could have made, each in surroundings of its own, with everything that reads it."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from attrs import frozen
from sklearn.linear_model import LogisticRegression

from mnistkit import config
from mnistkit.azureml.workspace import find_config as find_workspace
from mnistkit.cli.run_values import run_json
from mnistkit.data.dataset import Dataset
from mnistkit.data.fetching import fetch_dataset
from mnistkit.data.folders import DigitsSource, FolderSource
from mnistkit.evaluation.results import run_evaluation, run_model
from mnistkit.evaluation.scores import EVALUATION_FILE, evaluate
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.local.threads import InProcessCompute
from mnistkit.models.input import INPUT_FILE, InputSpec
from mnistkit.models.persistence import save_model
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.loading import load_model, load_probe
from mnistkit.registry.promotion import resolve_model
from mnistkit.registry.signing import check_signature, make_keys, sign
from mnistkit.registry.verification import verify_models
from mnistkit.runs.annotations import append_annotation
from mnistkit.runs.context import FolderContext
from mnistkit.runs.folder.index import RunIndex
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState
from mnistkit.runs.registration import register_run, run_input
from mnistkit.runs.row import RunRow
from mnistkit.runs.run import Run, best_run
from mnistkit.runs.table import RunTable
from mnistkit.serving.package import PackagedModel
from mnistkit.serving.packaging import package_model
from mnistkit.sweeps.sweep import Sweep, Trial
from mnistkit.utils.serialization import to_json

__all__ = ["VICTIMS", "Victim"]

_PIXELS = np.random.default_rng(0).integers(0, 256, (20, 4)).astype(np.float32) / 255
_LABELS = np.arange(20) % 2


@frozen
class Victim:
    """A file to mutate, what reads it, and what may not fail whatever became of it."""

    path: Path
    looks: tuple[Callable[[], object], ...]
    check: Callable[[], object] = lambda: None


def _fitted() -> LogisticRegression:
    return LogisticRegression().fit(_PIXELS, _LABELS)


class _Constant:
    """A classifier that takes every image for a 3."""

    classes_ = np.arange(10)
    n_features_in_ = 64

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.full(len(rows), 3)


def _run(name: str, folder: Path) -> Victim:
    """Two completed runs, of which the newer one has the file."""
    (folder / "code").mkdir()
    (folder / "code" / "main.py").write_text("1")
    backend = InProcessCompute(folder)
    store = RunStore(folder / "runs")
    job = ScriptJob(source_directory=str(folder / "code"), entry_script="main.py", tags={"sweep": "s"}, timeout=3.0)
    good, bad = store.create(job, "digits"), store.create(job, "digits")
    for each in (good, bad):
        context, outputs = FolderContext(store.folder(each)), store.folder(each) / "outputs"
        context.log("accuracy", 0.5, step=1)
        context.log("loss", float("nan"))
        context.tag("key", "value")
        append_annotation(store.folder(each), {"later": "value"}, "a note")
        (outputs / EVALUATION_FILE).write_bytes(to_json(evaluate(_Constant(), fetch_dataset(DigitsSource()))))
        (outputs / INPUT_FILE).write_bytes(to_json(InputSpec(height=2, width=2, class_names=("a", "b"))))
        save_model(_fitted(), outputs, format="linear" if "linear" in name else "skops", probe=_PIXELS)
        store.log_file(each).write_bytes("Zeile für Zeile\n\x1b[2J\xff".encode("latin1"))
        store.advance(each, RunState.COMPLETED)
    run = Run(backend, backend.get(bad))

    def listed() -> None:
        assert good in [record.id for record in backend.runs()]

    record_looks: tuple[Callable[[], object], ...] = (
        lambda: backend.get(bad).describe(),
        lambda: backend.get(bad)._repr_html_(),
        lambda: backend.cancel(bad),
        lambda: store.may_be_running(bad),
        lambda: (RunRow.of(backend.get(bad)).to_plain(), run_json(backend.get(bad))),
        lambda: RunTable.of(backend).to_csv(folder / "runs.csv"),
        lambda: best_run([Run(backend, record) for record in backend.runs()], "accuracy"),
        partial(_look_at_sweep, backend, (good, bad), folder),
    )
    looks: dict[str, tuple[Callable[[], object], ...]] = {
        "evaluation": (lambda: run_evaluation(run),),
        "input": (lambda: run_input(run, "outputs/model.skops"),),
        "model": (lambda: run_model(run),),
        "probe": (partial(_register, run, folder),),
        "std_log": (lambda: backend.logs(bad), lambda: backend.logs(bad, start=3)),
    }
    stem = name.rpartition("/")[2].partition(".")[0]
    return Victim(store.folder(bad) / name, looks.get(stem, record_looks), listed)


def _index(name: str, folder: Path) -> Victim:
    """The index of two runs, which lists must not depend on."""
    victim = _run("record.json", folder)
    root = folder / "runs"
    index = RunIndex(root, RunStore(root))
    for path in root.rglob("*"):
        os.utime(path, (1e9, 1e9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mnistkit.runs.folder.index._MIN_CHANGES", 0)
        index.rows()
    shown = {row.id for row in index.rows()}

    def listed() -> None:
        assert {row.id for row in RunIndex(root, RunStore(root)).rows()} == shown

    return Victim(root / name, (victim.check,), listed)


def _look_at_sweep(backend: InProcessCompute, runs: tuple[str, ...], folder: Path) -> None:
    """Everything that a sweep's files and its table are made of."""
    trials = [Trial(params={"C": 1.0}, run=Run(backend, backend.get(run_id)), rung=0) for run_id in runs]
    sweep = Sweep("s", trials)
    repr(sweep)
    sweep.describe()
    sweep.best()
    sweep.to_csv(folder / "sweep.csv")
    sweep.to_json(folder / "sweep.json")
    sweep.to_pandas()


def _register(run: Run, folder: Path) -> None:
    registry = FolderRegistry(folder / "registry")
    version = register_run(registry, run, "m", allow_other_data=True)
    registry.delete("m", version.version)


def _registry(name: str, folder: Path) -> Victim:
    """Two models with an alias and a signature each, of which "bad" has the file."""
    home = folder / "home"
    registry = FolderRegistry(home)
    _, public = make_keys(folder / "key")
    save_model(_fitted(), folder / "files", probe=_PIXELS)
    for each in ("bad", "good"):
        for _ in range(2):
            info = ModelInfo(format="skops", metrics={"accuracy": 0.5}, tags={"a": "b"})
            version = registry.register(each, folder / "files", info)
        registry.assign(each, "champion", 1, reason="it is good")
        sign(registry, version, folder / "key")
        registry.delete(each, 2)
        sign(registry, registry.get(each, 1), folder / "key")

    def listed() -> None:
        if name != "format.json":
            assert "good" in registry.names()
            assert [version.version for version in registry.versions("good")] == [1]
            registry.get("good", 1)

    looks: tuple[Callable[[], object], ...] = (
        registry.names,
        lambda: registry.versions("bad"),
        lambda: registry.get("bad").describe(),
        lambda: registry.aliases("bad"),
        lambda: registry.signatures(registry.get("bad")),
        lambda: registry.inspect_model("bad"),
        lambda: resolve_model(registry, "bad@champion"),
        lambda: check_signature(registry, registry.get("bad", 1), [public]),
    )
    if "versions" in name:
        looks += (lambda: load_model(registry, "bad@champion"), lambda: verify_models(registry))
        looks += (lambda: load_probe(registry, registry.get("bad", 1)),)
    path = folder / name if name.startswith("key") else next(iter(sorted(home.glob(name))))
    return Victim(path, looks, listed)


def _dataset(name: str, folder: Path) -> Victim:
    """The digits in a folder of the user's own."""
    DigitsSource().fetch(folder)
    if name != "dataset.json":  # else it says that the bytes are others before they are looked at
        (folder / "dataset.json").unlink()
    if name.endswith(".gz"):
        plain = folder / name.removesuffix(".gz")
        (folder / name).write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
        plain.unlink()
    source = FolderSource(folder)

    def look() -> Dataset:
        return fetch_dataset(source)

    return Victim(folder / name, (lambda: look().describe(), source.digests))


def _package(name: str, folder: Path) -> Victim:
    """A packaged model."""
    registry = FolderRegistry(folder / "home")
    save_model(_fitted(), folder / "files", probe=_PIXELS)
    registry.register("m", folder / "files", ModelInfo(format="skops", input=InputSpec(height=2, width=2)))
    package = package_model(registry, "m", folder / "package")
    return Victim(package / name, (lambda: PackagedModel(package),))


def _settings(name: str, folder: Path) -> Victim:
    """Files of the user's own that say what is to be done, and where."""
    from mnistkit.emulator.state import read_config

    path = folder / name
    looks: tuple[Callable[[], object], ...]
    if name == "config.json":
        path.write_text('{"subscription_id": "a", "resource_group": "b", "workspace_name": "c"}')
        looks = (lambda: find_workspace(folder), lambda: read_config(path))
    else:
        table = "[tool.mnistkit]\n" if name == "pyproject.toml" else ""
        path.write_text(f'{table}experiment = "x"\nhome = "~/x"\ncompute = {{ backend = "process", parallel = 2 }}\n')
        looks = (lambda: config.find_config(folder),)
    return Victim(path, looks)


_MAKERS: dict[Callable[[str, Path], Victim], tuple[str, ...]] = {
    _run: (
        *(
            "job.json",
            "record.json",
            "metrics.jsonl",
            "tags.jsonl",
            "annotations.jsonl",
            "logs/std_log.txt",
            "outputs/evaluation.json",
        ),
        *("outputs/input.json", "outputs/model.skops", "outputs/probe.npz"),
        *("outputs/model.linear.json", "outputs/model.linear.npz"),
    ),
    _index: (".index.jsonl",),
    _registry: (
        *("format.json", "models/bad/versions/1/manifest.json", "models/bad/versions/1/model.skops"),
        *("models/bad/versions/1/probe.npz", "models/bad/aliases/champion/000000000001.json"),
        *("models/bad/signatures/1/*.json", "models/bad/deleted/2.json", "key.pub"),
    ),
    _dataset: ("dataset.json", "train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte"),
    _package: ("version.json", "model/model.skops"),
    _settings: ("mnistkit.toml", "pyproject.toml", "config.json"),
}

VICTIMS: dict[str, Callable[[Path], Victim]] = {
    name: partial(make, name) for make, names in _MAKERS.items() for name in names
}
"""What makes each, in a folder, by the name of the file."""
