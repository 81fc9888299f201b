"""The choice of Azure ML's SDK: by name, by a workspace's object, or by what is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mnistkit.azureml import backends
from mnistkit.azureml.backends import select_sdk
from mnistkit.azureml.v1.compute import AmlCompute as AmlComputeV1
from mnistkit.azureml.v1.data import OpenDatasetsMnist as OpenDatasetsMnistV1
from mnistkit.azureml.v1.registry import WorkspaceRegistry as WorkspaceRegistryV1
from mnistkit.azureml.v1.workspace import Connection as ConnectionV1
from mnistkit.azureml.v2.compute import AmlCompute as AmlComputeV2
from mnistkit.azureml.v2.data import OpenDatasetsMnist as OpenDatasetsMnistV2
from mnistkit.azureml.v2.registry import WorkspaceRegistry as WorkspaceRegistryV2
from mnistkit.azureml.v2.workspace import Connection
from mnistkit.config import Config, read_config
from mnistkit.errors import MissingExtraError, UnknownNameError, UsageError
from mnistkit.interfaces import SupportsDeployment
from mnistkit.plugins import compute_backend, data_source, model_registry
from mnistkit.trainer import Trainer

KINDS: dict[str, tuple[type, type, type]] = {
    "v1": (AmlComputeV1, WorkspaceRegistryV1, OpenDatasetsMnistV1),
    "v2": (AmlComputeV2, WorkspaceRegistryV2, OpenDatasetsMnistV2),
}


def only(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Let these SDKs alone be installed."""
    monkeypatch.setattr(backends, "find_spec", lambda module: object() if module in modules else None)


@pytest.mark.parametrize("sdk", ["v1", "v2"])
def test_a_named_sdk_is_used(sdk: str, tmp_path: Path) -> None:
    """The three backends of a configuration are those of the SDK that it names; nothing is imported or sent yet."""
    compute, models, data = KINDS[sdk]
    assert isinstance(compute_backend("azureml", tmp_path, {"sdk": sdk, "name": "cpu"}), compute)
    assert isinstance(model_registry("azureml", tmp_path, {"sdk": sdk}), models)
    assert isinstance(data_source("azureml:mnist_opendataset", {"sdk": sdk}), data)
    trainer = Trainer.azure(sdk=sdk)  # type: ignore[arg-type] - one of both
    assert isinstance(trainer.compute, compute)
    assert isinstance(trainer.models, models)
    assert isinstance(trainer.data, data)


def test_a_file_names_the_sdk_once(tmp_path: Path) -> None:
    """Azure's data is read with the SDK that a file names for compute."""
    file = tmp_path / "mnistkit.toml"
    file.write_text('data = "azureml:mnist_opendataset"\ncompute = { backend = "azureml", sdk = "v1" }\n')
    config = read_config(file)
    assert config.source_options == {"sdk": "v1"}
    assert isinstance(Trainer.from_config(config).data, OpenDatasetsMnistV1)
    assert Config(data="mnist", compute=config.compute).source_options == {}


def test_the_newer_sdk_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name v2 is used where it is installed, else v1; where neither is, the error explains both."""
    only(monkeypatch, "azure.ai.ml", "azureml.core")
    assert select_sdk() == "v2"
    only(monkeypatch, "azureml.core")
    assert select_sdk() == "v1"
    only(monkeypatch)
    with pytest.raises(MissingExtraError, match=r"mnistkit\[azure\].* v2.*mnistkit\[azure-v1\].*v1|v2.*v1"):
        select_sdk()


def test_an_object_of_an_sdk_chooses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace's object is of one SDK; a name isn't."""
    only(monkeypatch, "azureml.core")
    client: Any = type("MLClient", (), {"__module__": "azure.ai.ml._ml_client"})()
    assert select_sdk(None, client) == "v2"
    assert select_sdk(None, Connection(client)) == "v2"
    assert select_sdk(None, "name") == "v1"


def test_options_of_the_other_sdk_are_refused(tmp_path: Path) -> None:
    """An option that only the other SDK has is an error that says so, as is another name and another option."""
    with pytest.raises(UsageError, match="v1 alone"):
        compute_backend("azureml", tmp_path, {"sdk": "v2", "submit_with": "estimator"})
    with pytest.raises(UsageError, match="v2 alone"):
        compute_backend("azureml", tmp_path, {"sdk": "v1", "serverless": True})
    with pytest.raises(UsageError, match="sdk='v3'"):
        compute_backend("azureml", tmp_path, {"sdk": "v3"})
    with pytest.raises(UnknownNameError, match="no option 'nodes'; it has sdk"):
        compute_backend("azureml", tmp_path, {"nodes": 3})


@pytest.mark.parametrize(("sdk", "target", "other"), [("v1", "aci", "endpoint"), ("v2", "endpoint", "aci")])
def test_a_target_is_reached_through_the_connection_of_the_models(sdk: str, target: str, other: str) -> None:
    """A target of the other SDK would connect to whatever config.json names: it is refused."""
    connection = {"v1": ConnectionV1, "v2": Connection}[sdk](name="w", resource_group="g", subscription_id="s")
    compute, registry, _ = KINDS[sdk]
    for backend in compute(connection), registry(connection):
        assert isinstance(backend, SupportsDeployment)
        assert backend.deployment_options(target) == {"workspace": connection}
        assert backend.deployment_options("local") == {}
        with pytest.raises(UsageError, match=f"target='{target}'"):
            backend.deployment_options(other)
