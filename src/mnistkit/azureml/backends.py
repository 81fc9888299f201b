"""The backends of a workspace by name, through the SDK that is named, or else the one that is installed."""

from __future__ import annotations

import contextlib
import os
from importlib.util import find_spec
from typing import Any, Literal

from mnistkit.azureml.v1.compute import AmlCompute as AmlComputeV1
from mnistkit.azureml.v1.data import OpenDatasetsMnist as OpenDatasetsMnistV1
from mnistkit.azureml.v1.registry import WorkspaceRegistry as WorkspaceRegistryV1
from mnistkit.azureml.v1.workspace import Connection as ConnectionV1
from mnistkit.azureml.v2.compute import AmlCompute as AmlComputeV2
from mnistkit.azureml.v2.data import OpenDatasetsMnist as OpenDatasetsMnistV2
from mnistkit.azureml.v2.registry import WorkspaceRegistry as WorkspaceRegistryV2
from mnistkit.azureml.v2.workspace import Connection as ConnectionV2
from mnistkit.data.source import DataSource
from mnistkit.errors import MissingExtraError, UsageError
from mnistkit.registry.registry import ModelRegistry
from mnistkit.runs.backend import ComputeBackend

__all__ = ["MODULES", "Sdk", "compute_backend", "data_source", "model_registry", "select_sdk"]

Sdk = Literal["v1", "v2"]
"""A version of Azure ML's SDK."""

MODULES: dict[Sdk, str] = {"v2": "azure.ai.ml", "v1": "azureml.core"}
"""The module of each SDK; the first that is installed is used."""


def select_sdk(sdk: str | None = None, workspace: Any = None) -> Sdk:
    """Return the SDK to use: the named one, that of a workspace's object, or the first one that is installed.

    Args:
        sdk: ``"v1"``, ``"v2"``, or None.
        workspace: What `connect` of either returned, or anything else.

    Raises:
        UsageError: There is no such SDK.
        MissingExtraError: None is named, and none is installed.
    """
    for known in MODULES:
        if sdk == known:
            return known
    if sdk is not None:
        raise UsageError(f"sdk={sdk!r}: use 'v2' (azure-ai-ml) or 'v1' (azureml-core).")
    of_object = type(workspace).__module__
    for known, module in MODULES.items():
        if of_object.startswith((f"{module}.", f"mnistkit.azureml.{known}.")):
            return known
    for known, module in MODULES.items():
        if _is_installed(module):
            return known
    raise MissingExtraError(
        "Azure ML needs one of its SDKs: python -m pip install 'mnistkit[azure]' (v2, azure-ai-ml: any Python), or "
        "'mnistkit[azure-v1]' (v1, azureml-core: Python 3.10 or 3.11 in an environment of its own)."
    )


def compute_backend(
    home: str | os.PathLike[str],
    *,
    sdk: str | None = None,
    config: str | None = None,
    workspace: Any = None,
    resource_group: str | None = None,
    subscription_id: str | None = None,
    credentials: str | None = None,
    name: str | None = None,
    vm_size: str | None = None,
    min_nodes: int | None = None,
    max_nodes: int | None = None,
    idle_seconds: int = 120,
    serverless: bool = False,
    submit_with: Literal["estimator", "script_run_config"] | None = None,
    mode: Literal["mount", "download"] = "mount",
    max_run_duration_seconds: int = 24 * 3600,
) -> ComputeBackend:
    """Return the compute backend ``"azureml"`` of a configuration file.

    Args:
        home: The folder for files on this machine; unused.
        sdk: As in `select_sdk`.
        config: As in `mnistkit.azureml.connect`.
        workspace: The name there; or what it returns.
        resource_group: As there.
        subscription_id: As there.
        credentials: As there.
        name: As in `mnistkit.azureml.AmlCompute`, like what follows.
        vm_size: As there.
        min_nodes: As there.
        max_nodes: As there.
        idle_seconds: As there.
        serverless: As in `mnistkit.azureml.v2.AmlCompute`: v2 alone.
        submit_with: As in `mnistkit.azureml.AmlCompute`: v1 alone.
        mode: As there.
        max_run_duration_seconds: As there.

    Raises:
        UsageError: The SDK has no such option.
        MissingExtraError: As `select_sdk`.
    """
    del home
    options: dict[str, Any] = {
        "name": name,
        "vm_size": vm_size,
        "min_nodes": min_nodes,
        "max_nodes": max_nodes,
        "idle_seconds": idle_seconds,
        "mode": mode,
        "max_run_duration_seconds": max_run_duration_seconds,
    }
    chosen = select_sdk(sdk, workspace)
    place = {"resource_group": resource_group, "subscription_id": subscription_id, "credentials": credentials}
    where = _connection(chosen, workspace, config=config, **place)
    if chosen == "v2":
        if submit_with is not None:
            raise UsageError(f"submit_with={submit_with!r}: that is an option of the SDK v1 alone. Use sdk='v1'.")
        return AmlComputeV2(where, serverless=serverless, **options)
    if serverless:
        raise UsageError("serverless=True: that is an option of the SDK v2 alone. Use sdk='v2', or a cluster.")
    return AmlComputeV1(where, submit_with=submit_with or "estimator", **options)


def model_registry(
    home: str | os.PathLike[str],
    *,
    sdk: str | None = None,
    config: str | None = None,
    workspace: Any = None,
    resource_group: str | None = None,
    subscription_id: str | None = None,
    credentials: str | None = None,
) -> ModelRegistry:
    """Return the model registry ``"azureml"`` of a configuration file; its arguments are those of `compute_backend`.

    Raises:
        MissingExtraError: As `select_sdk`.
    """
    del home
    chosen = select_sdk(sdk, workspace)
    place = {"resource_group": resource_group, "subscription_id": subscription_id, "credentials": credentials}
    where = _connection(chosen, workspace, config=config, **place)
    return WorkspaceRegistryV2(where) if chosen == "v2" else WorkspaceRegistryV1(where)


def data_source(
    uri: str, *, sdk: str | None = None, workspace: Any = None, config: str | os.PathLike[str] | None = None
) -> DataSource:
    """Return the source for ``"azureml:mnist_opendataset"``; see `mnistkit.azureml.OpenDatasetsMnist.from_uri`.

    Args:
        uri: As there.
        sdk: As in `select_sdk`.
        workspace: As there.
        config: As there.

    Raises:
        UsageError: The uri is another.
        MissingExtraError: As `select_sdk`.
    """
    kind = OpenDatasetsMnistV2 if select_sdk(sdk, workspace) == "v2" else OpenDatasetsMnistV1
    return kind.from_uri(uri, workspace=workspace, config=config)


def _connection(sdk: Sdk, workspace: Any, **how: str | None) -> Any:
    """Return a connection to the workspace of that name, to be made when it is needed; or the workspace itself."""
    if workspace is not None and not isinstance(workspace, str):
        return workspace
    kind = ConnectionV2 if sdk == "v2" else ConnectionV1
    return kind(name=workspace, **how)


def _is_installed(module: str) -> bool:
    with contextlib.suppress(ModuleNotFoundError):  # a package above it isn't installed
        return find_spec(module) is not None
    return False
