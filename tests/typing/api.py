"""The public API as a user's type checker sees it; checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

from mnistkit import (
    DATA_FOLDER,
    ComputeBackend,
    Dataset,
    DataSource,
    Explanation,
    Fingerprint,
    Halving,
    ModelRegistry,
    ModelVersion,
    Provenance,
    Run,
    RunRecord,
    RunState,
    ScriptJob,
    Sweep,
    Trainer,
    Verification,
    best_run,
    export_model,
    get_context,
    load_dataset,
    load_model,
    promote,
    save_model,
    search_models,
)
from mnistkit.export import export_version
from mnistkit.linear import LinearModel, loads_linear
from mnistkit.persistence import load_probe
from mnistkit.probe import Probe
from mnistkit.pruning import DeletesRuns, PruningPlan, plan_pruning, prune, registered_versions
from mnistkit.signing import Signature, check_signature, make_keys, sign


def train(classifier: Any) -> None:
    """The lines of the README."""
    trainer = Trainer.local()
    run = trainer.train(classifier)
    sweep = trainer.sweep(classifier, {"C": [0.1, 1, 10]}, parallel=2)
    model = trainer.register(sweep.best("accuracy"), "sklearn_mnist")
    script = trainer.submit(ScriptJob("my_folder", "train.py", ("--data-folder", DATA_FOLDER, "--regularization", 0.5)))
    assert_type(run, Run)
    assert_type(run.metrics, dict[str, float])
    assert_type(run.state, RunState)
    assert_type(script.logs(), str)
    assert_type(script.logs(follow=True), Iterator[str])
    assert_type(script.logs(start=100), str)
    assert_type(script.watch(), Run)
    assert_type(script.looks(timeout=10), Iterator[Run])
    assert_type([phase.seconds for phase in script.record.phases], list[float])
    assert_type(script.download("outputs/model.pkl"), Path)
    assert_type(model, ModelVersion)
    assert_type(promote(trainer.models, "sklearn_mnist:1", "champion"), ModelVersion)
    assert_type(promote(trainer.models, "a:2", "b", if_better="log loss", min_delta=0.01, mode="min"), ModelVersion)
    assert_type(trainer.compute, ComputeBackend)
    assert_type(trainer.models, ModelRegistry)
    assert_type(trainer.data, DataSource)
    load_model(trainer.models, "sklearn_mnist@champion")


def registry() -> None:
    """A verification counts and lists; a search gives versions; an assignment may say what it was decided on."""
    models = Trainer.local().models
    verification = models.verify("sklearn_mnist", 3)
    assert_type(verification, Verification)
    assert_type([(problem.model, problem.file) for problem in verification.problems], list[tuple[str, str]])
    assert_type(models.numbers("sklearn_mnist"), tuple[int, ...])
    assert_type(search_models(models, tags={"a": "b"}, metric="accuracy", min=0.9), tuple[ModelVersion, ...])
    models.assign("sklearn_mnist", "champion", 3, seen=models.aliases("sklearn_mnist").get("champion", ()))


def sweeps(classifier: Any) -> None:
    """A sweep is a sequence of runs, and a table."""
    trainer = Trainer.local()
    sweep = trainer.sweep(classifier, [{"C": 1}, {"C": 2.0, "tol": 1e-3}], halving=Halving(factor=2), resume=True)
    assert_type(sweep, Sweep)
    assert_type(sweep[0], Run)
    assert_type(sweep[:2], tuple[Run, ...])
    assert_type([run.id for run in sweep], list[str])
    assert_type(best_run(sweep, "log loss", mode="min"), Run)
    assert_type(sweep.best(), Run)
    assert_type(sweep.params, tuple[dict[str, Any], ...])
    assert_type(sweep.table(), list[dict[str, Any]])
    assert_type(sweep.to_csv("sweep.csv"), Path)
    assert_type(trainer.optimize(classifier, {}, n=3), Sweep)


def pruning() -> None:
    """A plan is made of values; only a backend that can delete runs takes it."""
    trainer = Trainer.local()
    plan = plan_pruning(trainer.compute.runs(), registered_versions(trainer.models), keep=5, older_than=timedelta(30))
    assert_type(plan.delete, tuple[RunRecord, ...])
    assert_type([kept.reason for kept in plan.keep], list[str])
    if isinstance(trainer.compute, DeletesRuns):
        assert_type(prune(plan, trainer.compute, trainer.models), PruningPlan)


def reuse(classifier: Any) -> None:
    """An explanation is a value and a text; what a run came from may be unknown."""
    trainer = Trainer.local()
    assert_type(trainer.train(classifier, reuse=True), Run)
    run = trainer.submit(ScriptJob("my_folder"), reuse=True)
    explanation = trainer.explain(trainer.job(classifier))
    assert_type(explanation, Explanation)
    assert_type(explanation.reuses, bool)
    assert_type([difference.item for difference in explanation.differences], list[str])
    assert_type(run.record.job.fingerprint, Fingerprint | None)
    assert_type(run.record.provenance, Provenance | None)
    if run.record.provenance:
        assert_type(run.record.provenance.commit, str | None)


def models(classifier: Any, version: ModelVersion) -> None:
    """Models go to files and come back; keys and signatures are files and values."""
    trainer = Trainer.local()
    trainer.train(classifier, model_format="linear")
    assert_type(save_model(classifier, "folder", format="linear", probe=[[0.0]]), Path)
    assert_type(export_model(classifier, "model.onnx", format="onnx"), Path)
    assert_type(export_version(trainer.models, "digits@champion", Path("model.onnx"), allow_pickle=True), Path)
    trainer.load("digits:3", expect_digest=version.digest, verify_key="models.key.pub", allow_version_mismatch=True)
    load_model(trainer.models, version, verify_key=Path("models.key.pub"))
    private, public = make_keys("models.key")
    assert_type(sign(trainer.models, version, private), Signature)
    assert_type(check_signature(trainer.models, version, [public]), str)
    assert_type(loads_linear(b"", b""), LinearModel)
    assert_type(load_probe(trainer.models, version), Probe | None)


def data() -> None:
    """Keras' shape and scikit-learn's."""
    dataset = load_dataset("mnist")
    assert_type(dataset, Dataset)
    (x_train, y_train), (_, y_test) = dataset.arrays()
    assert_type(x_train, NDArray[np.uint8])
    assert_type(y_train, NDArray[np.uint8])
    assert_type(y_test, NDArray[np.uint8])
    (X_train, labels), _ = dataset.as_sklearn()
    assert_type(X_train, NDArray[np.floating])
    assert_type(labels, NDArray[np.int64])


def script() -> None:
    """What a user's own script calls."""
    context = get_context()
    context.log("accuracy", 0.92, step=1)
    assert_type(context.outputs, Path)
    assert_type(context.should_stop, bool)
