"""The public API as a user's type checker sees it; checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from typing_extensions import assert_type

from mnistkit import (
    DATA_FOLDER,
    Comparison,
    ComputeBackend,
    Dataset,
    DataSource,
    Evaluation,
    Fingerprint,
    Halving,
    ModelRegistry,
    ModelVersion,
    Provenance,
    ReuseDecision,
    Run,
    RunRecord,
    RunState,
    ScriptJob,
    Sweep,
    Trainer,
    Verification,
    best_run,
    compare,
    evaluate,
    export_model,
    get_context,
    load_dataset,
    load_model,
    promote,
    save_model,
    search_models,
)
from mnistkit.azureml import AmlCompute, OpenDatasetsMnist, WorkspaceRegistry, connect
from mnistkit.data import Imported, LeftOut, export_pictures, import_pictures
from mnistkit.evaluation.calibration import Calibration, calibrate
from mnistkit.evaluation.results import run_dataset, run_evaluation, run_model
from mnistkit.evaluation.robustness import Robustness, measure_robustness
from mnistkit.evaluation.scores import SplitPredictions, predict
from mnistkit.models.linear import LinearModel, loads_linear
from mnistkit.models.probe import Probe
from mnistkit.plots import (
    class_balance,
    confusion,
    learning_curve,
    mean_images,
    misclassified,
    prediction_grid,
    reliability,
    sample_grid,
    sweep_curve,
    timeline,
    weights,
)
from mnistkit.registry import ModelInfo, VersionTable
from mnistkit.registry.export import export_version
from mnistkit.registry.loading import load_probe
from mnistkit.registry.signing import Signature, check_signature, make_keys, sign
from mnistkit.registry.verification import verify_models, version_numbers
from mnistkit.reports import run_report, sweep_report, write_report
from mnistkit.runs.backend import SupportsDelete
from mnistkit.runs.retention import PruningPlan, plan_pruning, prune, registered_versions
from mnistkit.tracking import ActiveRun


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
    assert_type(script.poll(timeout=10), Iterator[Run])
    assert_type([phase.seconds for phase in script.record.phases], list[float])
    assert_type(script.download("outputs/model.pkl"), Path)
    assert_type(model, ModelVersion)
    assert_type(promote(trainer.models, "sklearn_mnist:1", "champion"), ModelVersion)
    assert_type(promote(trainer.models, "a:2", "b", if_better="log loss", min_delta=0.01, mode="min"), ModelVersion)
    assert_type(trainer.compute, ComputeBackend)
    assert_type(trainer.models, ModelRegistry)
    assert_type(trainer.data, DataSource)
    load_model(trainer.models, "sklearn_mnist@champion")


def tracking(classifier: Any) -> None:
    """The run of a block is a run; what was fitted is registered like one."""
    trainer = Trainer.local()
    with trainer.start_run("mine", tags={"a": "b"}, capture=False) as run, trainer.start_run(parent=run) as part:
        part.log("loss", 0.5, step=1)
        assert_type(part.evaluate(classifier), Evaluation)
        assert_type(part.save_model(classifier), Path)
    assert_type(run, ActiveRun)
    assert_type(best_run([run, part], "loss"), Run)
    assert_type(trainer.register(run, "name"), ModelVersion)
    assert_type(trainer.register(classifier, "name", data=([[0]], [1])), ModelVersion)
    assert_type(trainer.register("model.skops", "name", evaluate=False), ModelVersion)
    run.tag("a", None)
    run.note("kept", replace=True)


def registry() -> None:
    """A verification counts and lists; a search gives versions; an assignment may say what it was decided on."""
    models = Trainer.local().models
    verification = verify_models(models, "sklearn_mnist", 3)
    assert_type(verification, Verification)
    assert_type([(problem.model, problem.file) for problem in verification.problems], list[tuple[str, str]])
    assert_type(version_numbers(models, "sklearn_mnist"), tuple[int, ...])
    assert_type(search_models(models, tags={"a": "b"}, metric="accuracy", min=0.9), VersionTable)
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
    if isinstance(trainer.compute, SupportsDelete):
        assert_type(prune(plan, trainer.compute, trainer.models), PruningPlan)


def reuse(classifier: Any) -> None:
    """An explanation is a value and a text; what a run came from may be unknown."""
    trainer = Trainer.local()
    assert_type(trainer.train(classifier, reuse=True), Run)
    run = trainer.submit(ScriptJob("my_folder"), reuse=True)
    explanation = trainer.explain_reuse(trainer.job(classifier))
    assert_type(explanation, ReuseDecision)
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


def pictures(dataset: Dataset) -> None:
    """Folders of pictures become datasets, and back."""
    made = import_pictures("pictures", Path("data"), size=(28, 20), invert=True, centre=True, test_fraction=0.1, seed=1)
    assert_type(made, Imported)
    assert_type(made.left_out, tuple[LeftOut, ...])
    assert_type(load_dataset(made.uri), Dataset)
    assert_type(export_pictures(dataset, "pictures"), Path)


def reports(run: Run, sweep: Sweep) -> None:
    """Reports are files, or texts."""
    trainer = Trainer.local()
    assert_type(trainer.report(run), Path)
    assert_type(trainer.report(sweep, "sweep.html"), Path)
    assert_type(run_report(run, trainer.dataset()), str)
    assert_type(write_report(sweep_report(sweep), "sweep.html"), Path)


def evaluation(classifier: Any, run: Run) -> None:
    """Evaluations and comparisons are values; a trainer takes runs and references, functions take classifiers."""
    trainer, dataset = Trainer.local(), load_dataset("mnist")
    assert_type(evaluate(classifier, dataset), Evaluation)
    assert_type(evaluate(classifier, dataset.test, dataset.class_names), Evaluation)
    assert_type(trainer.evaluate(run).interval(0.99), tuple[float, float])
    assert_type(trainer.compare(run, "sklearn_mnist@champion"), Comparison)
    comparison = compare(classifier, classifier, dataset.test, names=("a", "b"))
    assert_type(comparison.p_value, float)
    assert_type(comparison.intervals(), tuple[tuple[float, float], tuple[float, float]])
    assert_type(predict(classifier, dataset.test), SplitPredictions)
    assert_type(calibrate(predict(classifier, dataset.test), bins=5), Calibration)
    assert_type(measure_robustness(classifier, dataset, shifts=(1,), noises=()), Robustness)
    assert_type(run_evaluation(run), Evaluation)
    assert_type(run_dataset(run), Dataset)
    run_model(run, allow_pickle=True).predict(dataset.test.X())


def plots(run: Run, sweep: Sweep, ax: Axes) -> None:
    """Every plot returns a Figure."""
    dataset = load_dataset("mnist")
    assert_type(sample_grid(dataset, 12, seed=1, split="test"), Figure)
    assert_type(class_balance(dataset, ax=ax), Figure)
    assert_type(mean_images(dataset, figure=Figure()), Figure)
    assert_type(confusion(run_evaluation(run), errors=True, ax=ax), Figure)
    assert_type(misclassified(run, n=12), Figure)
    assert_type(prediction_grid(run.metrics, dataset, seed=1), Figure)
    assert_type(reliability(run, dataset, bins=20), Figure)
    assert_type(weights(run), Figure)
    assert_type(sweep_curve(sweep, "log loss", param="C", mode="min"), Figure)
    assert_type(learning_curve(sweep), Figure)
    assert_type(timeline(run.record), Figure)


def azure() -> None:
    """The same calls run on Azure Machine Learning."""
    trainer = Trainer.azure(experiment="on-azure", config="project", name="cpu-cluster", max_nodes=4)
    assert_type(trainer, Trainer)
    source = OpenDatasetsMnist().register("mnist_opendataset")
    assert_type(source, OpenDatasetsMnist)
    registry = WorkspaceRegistry(connect())
    info = ModelInfo(format="skops", run_id="run")
    assert_type(registry.register_from_run("digits", ["outputs/model.skops"], info), ModelVersion)
    Trainer(data=source, compute=AmlCompute(connect(), max_nodes=2), models=registry)


def script() -> None:
    """What a user's own script calls."""
    context = get_context()
    context.log("accuracy", 0.92, step=1)
    assert_type(context.outputs, Path)
    assert_type(context.should_stop, bool)
