"""The real SDK logs metrics of every kind, and gets them back."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

import sdk_jobs as jobs
from azureml.core import Experiment, Run, Workspace

from mnistkit.emulator import AzureMLEmulator, Fault

MATRIX = {
    "schema_type": "confusion_matrix",
    "schema_version": "v1",
    "data": {"class_labels": ["0", "1"], "matrix": [[9, 1], [2, 8]]},
}
TABLE = {
    "schema_type": "accuracy_table",
    "schema_version": "v1",
    "data": {
        "probability_tables": [[[1, 1, 0, 0], [0, 1, 1, 0]]],
        "percentile_tables": [[[1, 1, 0, 0], [0, 1, 1, 0]]],
        "probability_thresholds": [0.0, 1.0],
        "percentile_thresholds": [0.0, 1.0],
        "class_labels": ["0"],
    },
}
RESIDUALS = {
    "schema_type": "residuals",
    "schema_version": "v1",
    "data": {"bin_edges": [0, 1, 2], "bin_counts": [3, 4]},
}
PREDICTIONS = {
    "schema_type": "predictions",
    "schema_version": "v1",
    "data": {
        "bin_averages": [0.25, 0.75],
        "bin_errors": [0.01, 0.02],
        "bin_counts": [3, 4],
        "bin_edges": [0, 0.5, 1.0],
    },
}


@pytest.fixture
def run(workspace: Workspace) -> Run:
    """A run that goes on."""
    return Experiment(workspace, "digits").start_logging(snapshot_directory=None)


def test_values(run: Run) -> None:
    """Numbers, texts, lists, rows and tables come back as they were logged; what is logged again is appended."""
    run.log("accuracy", 0.9)
    run.log("loss", 2)
    run.log("loss", 1.5)
    run.log("note", "good")
    run.log_list("per class", [0.5, 0.75, 1])
    run.log_row("epoch", number=1, accuracy=0.5)
    run.log_row("epoch", number=2, accuracy=0.75)
    run.log_table("curve", {"x": [1, 2], "y": [0.1, 0.2]})
    run.flush()
    assert run.get_metrics() == {
        "accuracy": 0.9,
        "loss": [2, 1.5],
        "note": "good",
        "per class": [0.5, 0.75, 1],
        "epoch": {"number": [1, 2], "accuracy": [0.5, 0.75]},
        "curve": {"x": [1, 2], "y": [0.1, 0.2]},
    }
    assert run.get_metrics(name="accuracy") == {"accuracy": 0.9}
    assert run.get_metrics(name="no such") == {}


def test_files(run: Run, tmp_path: Path) -> None:
    """Images, confusion matrices, accuracy tables, residuals and predictions are metrics with files."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    plt.figure()
    plt.plot([1, 2])
    run.log_image("plot", plot=plt)
    plt.close("all")
    run.log_confusion_matrix("matrix", MATRIX)
    run.log_accuracy_table("table", TABLE)
    run.log_residuals("residuals", RESIDUALS)
    run.log_predictions("predictions", PREDICTIONS)
    run.flush()
    metrics = run.get_metrics()
    assert set(metrics) == {"plot", "matrix", "table", "residuals", "predictions"}
    files = run.get_file_names()
    assert any(name.startswith("plot") and name.endswith(".png") for name in files)
    name = next(name for name in files if name.startswith("matrix"))
    run.download_file(name, str(tmp_path / "matrix.json"))
    assert '"confusion_matrix"' in (tmp_path / "matrix.json").read_text()


def test_many(run: Run) -> None:
    """Many values come back all, in order."""
    for number in range(1000):
        run.log("step", number)
    run.flush()
    assert run.get_metrics()["step"] == list(range(1000))


def test_late(emulator: AzureMLEmulator, run: Run) -> None:
    """With the fault, metrics aren't there when they are first asked for, and are later."""
    run.log("accuracy", 0.9)
    run.flush()
    emulator.inject(Fault("late-metrics", match=run.id))
    assert run.get_metrics() == {}
    assert run.get_metrics() == {"accuracy": 0.9}


def test_in_job(workspace: Workspace, tmp_path: Path) -> None:
    """What a job logs is there when it has ended, though the script never flushes; so are its tags and properties."""
    folder = jobs.write(
        tmp_path / "src",
        """
        from azureml.core import Run
        run = Run.get_context()
        for number in range(100):
            run.log("step", number)
        run.tag("stage", "dev")
        run.add_properties({"size": "60000"})
        child = run.child_run("inner")
        child.log("inside", 1)
        child.complete()
        """,
    )
    run = jobs.submit(workspace, folder, jobs.cluster(workspace))
    assert jobs.wait(run) == "Completed"
    assert run.get_metrics() == {"step": list(range(100))}
    run = Run.get(workspace, run.id)
    own = {key: value for key, value in run.tags.items() if not key.startswith("mlflow.")}  # the plugin has its own
    assert (own, run.properties["size"]) == ({"stage": "dev"}, "60000")
    assert [child.get_metrics() for child in run.get_children()] == [{"inside": 1}]


def test_in_command(workspace: Workspace, tmp_path: Path) -> None:
    """What a command logs that runs a script is there too, though the script never flushes."""
    folder = jobs.write(tmp_path / "src", "from azureml.core import Run\nRun.get_context().log('accuracy', 0.5)\n")
    target = jobs.cluster(workspace)
    run = jobs.submit(
        workspace, folder, target, script=None, arguments=None, command=["python", "train.py", "--rate", "0.5"]
    )
    assert jobs.wait(run) == "Completed"
    assert run.get_metrics() == {"accuracy": 0.5}
