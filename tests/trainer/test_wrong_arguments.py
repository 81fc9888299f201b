"""Wrong arguments of public calls are errors that say what to give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import frozen
from sklearn.linear_model import LogisticRegression

from mnistkit.data import Dataset, export_pictures, import_pictures, read_idx
from mnistkit.errors import MnistkitError, UsageError
from mnistkit.jobs import ModelSpec, ScriptJob
from mnistkit.plugins import load_dataset
from mnistkit.registry import ModelInfo, promote, resolve_model
from mnistkit.registry.version import ModelVersion
from mnistkit.runs import Run, best_run
from mnistkit.runs.registration import register_run
from mnistkit.sweeps import Halving, Sweep
from mnistkit.trainer import Trainer


@frozen
class Given:
    """A trainer with what it has made."""

    trainer: Trainer
    run: Run
    sweep: Sweep
    version: ModelVersion
    fitted: Any
    dataset: Dataset


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """A trainer on the digits, with a run, a sweep and a model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("MNISTKIT_COMPUTE", "in-process")
        trainer = Trainer.local("digits", home=tmp_path_factory.mktemp("home"))
        run = trainer.train(LogisticRegression(tol=0.1), limit=100)
        sweep = trainer.sweep(LogisticRegression(tol=0.1), {"C": [1]}, limit=100)
        version = trainer.register(run, "m")
        return Given(trainer, run, sweep, version, trainer.load("m"), trainer.dataset())


Call = Callable[[Given], Any]
CALLS: list[tuple[Call, str]] = [
    (
        lambda g: g.trainer.submit(LogisticRegression()),
        r"job is of the type sklearn LogisticRegression.*trainer\.train",
    ),
    (lambda g: g.trainer.submit_all(g.sweep), r"jobs is of the type mnistkit Sweep"),
    (lambda g: g.trainer.submit_all([LogisticRegression()]), r"job is of the type"),
    (lambda g: g.trainer.explain_reuse(g.run), r"job is of the type mnistkit Run"),
    (lambda g: g.trainer.register(LogisticRegression(), "m"), r"LogisticRegression isn't fitted"),
    (lambda g: g.trainer.register(None, "m"), r"None isn't a scikit-learn estimator"),
    (lambda g: g.trainer.start_run(5), r"name=5"),
    (lambda g: g.trainer.start_run(tags=["a"]), r"tags=\['a'\]"),
    (lambda g: g.trainer.start_run(parent=5).__enter__(), r"parent is of the type int"),
    (lambda g: g.trainer.register(g.sweep, "m"), r"sweep\.best\('accuracy'\)"),
    (lambda g: register_run(g.trainer.models, g.run.id, "m"), r"run is of the type str.*trainer\.run\(id\)"),
    (lambda g: g.trainer.register(g.run, "m", file=Path("a")), r"file is of the type"),
    (lambda g: g.trainer.register(g.run, "m", tags=["a"]), r"tags is of the type list"),
    (lambda g: g.trainer.load(g.run), r"The reference is of the type mnistkit Run"),
    (lambda g: g.trainer.load("m", trusted=None), r"trusted=None"),
    (lambda g: g.trainer.evaluate(None), r"The model is None: use a run"),
    (lambda g: g.trainer.evaluate(LogisticRegression), r"The model is <class"),
    (lambda g: g.trainer.evaluate(g.fitted, (np.zeros((1, 8, 8)), [0])), r"data is of the type tuple.*from_arrays"),
    (lambda g: g.trainer.compare(g.fitted, g.fitted, "digits"), r"data is of the type str.*load_dataset"),
    (lambda g: g.trainer.report(g.run.id), r"of is of the type str: use the run or the sweep itself"),
    (lambda g: g.trainer.report(g.run, "."), r"can't be written to \."),
    (lambda g: g.trainer.train(LogisticRegression(), tags=["a"]), r"tags=\['a'\]"),
    (lambda g: g.trainer.job(LogisticRegression(), retry_on=3), r"retry_on is of the type int"),
    (lambda g: g.trainer.sweep(LogisticRegression(), None), r"grid is of the type NoneType"),
    (lambda g: g.trainer.sweep(LogisticRegression(), {"C": [1]}, parallel="2"), r"parallel is of the type str"),
    (lambda g: g.trainer.sweep(LogisticRegression(), {"C": [1, 2]}, n=1.5), r"n is of the type float"),
    (lambda g: g.trainer.sweep(LogisticRegression(), {1: [1]}), r"The parameter 1 is of the type int"),
    (lambda g: g.trainer.sweep(LogisticRegression(), [{1: 1}]), r"The parameter 1 is of the type int"),
    (lambda g: Halving(factor="3"), r"factor is of the type str"),
    (lambda g: Halving(min_limit=0.5), r"min_limit is of the type float"),
    (lambda g: Halving(metric=None), r"metric is of the type NoneType"),
    (lambda g: g.run.wait(timeout="5"), r"timeout is of the type str"),
    (lambda g: g.run.download("outputs/model.skops", None), r"into is of the type NoneType"),
    (lambda g: g.sweep.best(["accuracy"]), r"metric is of the type list"),
    (lambda g: g.sweep.to_csv(None), r"path is of the type NoneType"),
    (lambda g: g.sweep.to_csv("\ud800"), r"no file can be called"),
    (lambda g: best_run(None, "accuracy"), r"runs is of the type NoneType"),
    (lambda g: best_run([g.run.id], "accuracy"), r"One of the runs is of the type str"),
    (lambda g: promote(g.trainer.models, g.run, "champion"), r"The reference is of the type mnistkit Run"),
    (lambda g: promote(g.trainer.models, "m", "champion", if_better=["a"]), r"if_better is of the type list"),
    (lambda g: g.trainer.models.get("m", [1]), r"version is of the type list"),
    (lambda g: g.trainer.models.register("m", g.fitted, ModelInfo(format="files")), r"files is of the type sklearn"),
    (lambda g: g.dataset.subset(0.1), r"limit is of the type float: use a whole number"),
    (lambda g: g.dataset.subset(10, seed="a"), r"seed is of the type str"),
    (lambda g: load_dataset(Path("folder")), r"The dataset is of the type pathlib.*'idx:FOLDER'"),
    (lambda g: load_dataset((np.zeros((1, 8, 8)), [0])), r"from_arrays"),
    (lambda g: Trainer.local("digits", home=3), r"home is of the type int"),
    (lambda g: Dataset.from_folder(None), r"folder is of the type NoneType"),
    (lambda g: read_idx(None), r"path is of the type NoneType"),
    (lambda g: import_pictures(None, "out"), r"folder is of the type NoneType"),
    (lambda g: import_pictures(".", "out", size=28), r"size=28: use a height and a width"),
    (lambda g: export_pictures("digits", "out"), r"dataset is of the type str: use a Dataset"),
    (lambda g: ScriptJob(None, "a.py"), r"source_directory is of the type NoneType"),
    (lambda g: ScriptJob(".", "a.py", "--rate 1"), r"arguments is of the type str: use a list or a tuple"),
    (lambda g: ModelSpec("sklearn.linear_model.LogisticRegression", None).build(), r"The params of .*NoneType"),
]


@pytest.mark.parametrize(("call", "words"), CALLS, ids=[words for _, words in CALLS])
def test_a_wrong_argument_says_what_to_give(
    given: Given, call: Call, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plausible but wrong argument is an error of the tree with the way out, never an AttributeError or TypeError."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MnistkitError, match=words):
        call(given)
    assert not list(tmp_path.glob("*.html"))


def test_versions_are_references_and_one_cause_is_a_list(given: Given) -> None:
    """A version is taken where a reference is, and a single cause to retry on as a list of it."""
    assert resolve_model(given.trainer.models, given.version) == given.version
    assert promote(given.trainer.models, given.version, "champion") == given.version
    assert given.trainer.job(LogisticRegression(), retry_on="error").retry_on == ("error",)
    with pytest.raises(UsageError, match="limit"):
        given.dataset.subset(True)
