"""The facade on a workspace: the same calls as on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer, evaluate
from mnistkit.azureml import OpenDatasetsMnist
from mnistkit.azureml.v1._sdk import sdk
from mnistkit.errors import UnknownNameError

if TYPE_CHECKING:
    from mnistkit.interfaces import DataSource


def test_train_register_load(workspace: Any, tiny_mnist: DataSource) -> None:
    """A model is trained on a cluster, registered with the run's own files, promoted, and loaded, verified."""
    trainer = Trainer.azure(tiny_mnist, "facade", workspace=workspace, max_nodes=1)
    run = trainer.train(LogisticRegression(C=2, max_iter=20), tags={"stage": "test"})
    model = trainer.register(run, "sklearn_mnist", description="on a cluster")
    assert (model.id, model.uri, model.run_id) == ("sklearn_mnist:1", "sklearn_mnist:1", run.id)
    assert dict(model.tags)["stage"] == "test"
    assert model.metrics["accuracy"] == run.metrics["accuracy"]
    places = [each.prefix for each in sdk("azureml.core").Model(workspace, "sklearn_mnist")._get_asset().artifacts]
    assert {place.partition("/")[0] for place in places} == {"ExperimentRun"}
    dataset = trainer.dataset()
    classifier = trainer.load("sklearn_mnist")
    assert evaluate(classifier, dataset).accuracy == pytest.approx(run.metrics["accuracy"])
    assert [each.id for each in trainer.runs()] == [run.id]


def test_its_data_is_in_its_workspace(workspace: Any, tmp_path: Path) -> None:
    """What the data registers comes into the trainer's workspace, however that was named."""
    mounted = Trainer.azure(workspace=workspace).data
    assert isinstance(mounted, OpenDatasetsMnist)
    assert mounted.register().uri == "azureml:mnist_opendataset:1"
    workspace.write_config(str(tmp_path))
    found = Trainer.azure(config=tmp_path).data
    assert isinstance(found, OpenDatasetsMnist)
    assert found.register().uri == "azureml:mnist_opendataset:1"


def test_nothing_is_asked_before_it_is_needed(emulator: Any) -> None:
    """Making a trainer asks nobody, and needs no workspace's file; an unknown option is told at once."""
    trainer = Trainer.azure(name="mine", max_nodes=2)
    assert trainer.data.uri == "azureml:mnist_opendataset"
    with pytest.raises(UnknownNameError, match=r"no option 'nodes'; it has .*max_nodes"):
        Trainer.azure(nodes=3)
