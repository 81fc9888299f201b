"""Each file that another program could have made, mutated: no error but ours, no list that one item takes away."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnistkit import config
from mnistkit.azureml.workspace import find_config as find_workspace
from mnistkit.data.fetching import fetch_dataset
from mnistkit.data.folders import DigitsSource, FolderSource
from mnistkit.errors import MnistkitError
from mnistkit.evaluation.results import run_evaluation
from mnistkit.evaluation.scores import EVALUATION_FILE, evaluate
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.local.threads import InProcessCompute
from mnistkit.models.persistence import save_model
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.loading import load_model
from mnistkit.runs.annotations import ANNOTATIONS_FILE
from mnistkit.runs.context import FolderContext
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.utils.serialization import to_json
from support.mutations import mutate

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs pipes and links")

MAX_SECONDS = 1.0
MAX_GROWTH_KIB = 300 << 10
RUN_FILES = ("job.json", "record.json", "metrics.jsonl", "tags.jsonl", ANNOTATIONS_FILE, f"outputs/{EVALUATION_FILE}")
REGISTRY_FILES = (
    "format.json",
    "models/bad/versions/1/manifest.json",
    "models/bad/aliases/champion/000000000001.json",
)
OTHER_FILES = ("mnistkit.toml", "pyproject.toml", "config.json", "dataset.json")
FILES = (*RUN_FILES, *REGISTRY_FILES, *OTHER_FILES)


@frozen
class Victim:
    """A file to mutate, and everything that reads it: what may raise, and what may not."""

    path: Path
    looks: tuple[Callable[[], object], ...]
    check: Callable[[], object]


def _runs(folder: Path, name: str) -> Victim:
    (folder / "code").mkdir()
    (folder / "code" / "main.py").write_text("1")
    backend = InProcessCompute(folder)
    store = RunStore(folder / "runs")
    job = ScriptJob(source_directory=str(folder / "code"), entry_script="main.py", tags={"a": "b"}, timeout=3.0)
    good, bad = store.create(job, "digits"), store.create(job, "digits")
    evaluation = evaluate(_Constant(), fetch_dataset(DigitsSource()))
    for each in (good, bad):
        context = FolderContext(store.folder(each))
        context.log("accuracy", 0.5, step=1)
        context.log("loss", float("nan"))
        context.tag("key", "value")
        backend.annotate_run(each, {"by hand": "yes"}, "a note")
        (store.folder(each) / "outputs" / EVALUATION_FILE).write_bytes(to_json(evaluation))
        store.advance(each, RunState.COMPLETED)
    run = Run(backend, backend.get(bad))

    def listed() -> None:
        assert good in [record.id for record in backend.runs()]

    looks = (
        lambda: backend.get(bad).describe(),
        lambda: backend.get(bad)._repr_html_(),
        lambda: backend.logs(bad),
        lambda: backend.cancel(bad),
        lambda: store.may_be_running(bad),
        lambda: run_evaluation(run),
    )
    return Victim(store.folder(bad) / name, looks, listed)


class _Constant:
    """A classifier that takes every image for a 3."""

    classes_ = np.arange(10)
    n_features_in_ = 64

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.full(len(rows), 3)


def _registry(folder: Path, name: str) -> Victim:
    from sklearn.linear_model import LogisticRegression

    registry = FolderRegistry(folder / "home")
    rows = np.random.default_rng(0).random((20, 4))
    model = LogisticRegression().fit(rows, np.arange(20) % 2)
    save_model(model, folder / "files", probe=rows[:4])
    for each in ("bad", "good"):
        registry.register(each, folder / "files", ModelInfo(format="skops", metrics={"accuracy": 0.5}, tags={"a": "b"}))
        registry.assign(each, "champion", 1, reason="it is good")

    def listed() -> None:
        if name != "format.json":
            assert set(registry.names()) == {"bad", "good"}
            assert [version.version for version in registry.versions("good")] == [1]

    looks = (
        registry.names,
        lambda: registry.versions("bad"),
        lambda: registry.get("bad"),
        lambda: registry.aliases("bad"),
        lambda: registry.inspect("bad", 1),
        lambda: registry.inspect_model("bad"),
        lambda: load_model(registry, "bad@champion"),
        lambda: registry.get("bad", 1).describe(),
    )
    return Victim(next((folder / "home").rglob(name.rpartition("/")[2])) if name == "format.json" else
                  folder / "home" / name, looks, listed)  # fmt: skip


def _other(folder: Path, name: str) -> Victim:
    path = folder / name
    looks: tuple[Callable[[], object], ...]
    if name == "dataset.json":
        DigitsSource().fetch(folder)
        source = FolderSource(folder)
        looks = (lambda: fetch_dataset(source).describe(), source.digests)
    elif name == "config.json":
        path.write_text('{"subscription_id": "a", "resource_group": "b", "workspace_name": "c"}')
        looks = (lambda: find_workspace(folder),)
    else:
        table = "[tool.mnistkit]\n" if name == "pyproject.toml" else ""
        path.write_text(f'{table}experiment = "x"\nhome = "~/x"\ncompute = {{ backend = "process", parallel = 2 }}\n')
        looks = (lambda: config.find_config(folder),)
    return Victim(path, looks, lambda: None)


@pytest.fixture(params=FILES)
def victim(request: pytest.FixtureRequest, tmp_path: Path) -> Victim:
    """Each file, in surroundings of its own."""
    name: str = request.param
    make = _runs if name in RUN_FILES else _registry if name in REGISTRY_FILES else _other
    return make(tmp_path, name)


def _check(victim: Victim, count: int) -> None:
    if not victim.path.exists():
        pytest.skip(f"there is no {victim.path.name}")
    original = victim.path.read_bytes()
    for look in victim.looks:
        look()
    victim.check()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**40))
    def mutated(seed: int) -> None:
        what = mutate(victim.path, original, seed)
        start = time.process_time()
        victim.check()
        for look in victim.looks:
            try:
                look()
            except MnistkitError as error:
                str(error).encode()
        assert time.process_time() - start < MAX_SECONDS, what

    mutated()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_GROWTH_KIB


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_raise_our_errors_alone(victim: Victim) -> None:
    """Bytes, values, pipes, links, folders and sparse files in place of each file: fast, and nothing else is lost."""
    _check(victim, 40)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.filterwarnings("ignore")
def test_100_000_mutated_files(victim: Victim) -> None:
    """The same, 100,000 times in all."""
    _check(victim, 100_000 // len(FILES) + 1)
