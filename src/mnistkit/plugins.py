"""Backends by name, for the command line and configuration files: tables of import paths.

A name leads to ``"module:callable"``, which is imported when the name is first used. Other packages add names
through the entry-point groups below; they can't replace the built-in names.

- ``mnistkit.data_sources``: called with the whole uri, ``"idx:/data"``; the name is the part before ``:`` or ``?``.
  What a source needs beside its uri, such as the workspace it is in, are keyword arguments.
- ``mnistkit.compute_backends``, ``mnistkit.model_registries`` and ``mnistkit.deployment_targets``: called with the
  home folder, and options, of the configuration file if it has any, as keyword arguments.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mnistkit.config import Config, home_folder
from mnistkit.data.source import DataSource
from mnistkit.errors import MissingExtraError, UnknownNameError, UsageError
from mnistkit.registry.deployment import DeploymentTarget
from mnistkit.registry.registry import ModelRegistry
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.observers import RunObserver
from mnistkit.utils.arguments import check_type

if TYPE_CHECKING:  # loads numpy
    from mnistkit.data.dataset import Dataset

__all__ = [
    "COMPUTE_BACKENDS",
    "DATA_SOURCES",
    "DEPLOYMENT_TARGETS",
    "MODEL_REGISTRIES",
    "compute_backend",
    "configured_compute",
    "configured_models",
    "data_source",
    "deployment_target",
    "load_dataset",
    "model_registry",
    "names",
    "run_tracking",
]

_WEB = "mnistkit.data.web:WebSource.from_uri"

DATA_SOURCES: Mapping[str, str] = {
    "digits": "mnistkit.data.folders:DigitsSource.from_uri",
    "idx": "mnistkit.data.folders:FolderSource.from_uri",
    "mnist": _WEB,
    "fashion-mnist": _WEB,
    "kmnist": _WEB,
    "qmnist": _WEB,
    "emnist-balanced": _WEB,
    "emnist-byclass": _WEB,
    "emnist-bymerge": _WEB,
    "emnist-digits": _WEB,
    "emnist-letters": _WEB,
    "emnist-mnist": _WEB,
    "azureml": "mnistkit.azureml.backends:data_source",
    "array": "mnistkit.data.arrays:ArraySource.from_uri",
}
"""Data sources by name, as ``module:callable``."""
COMPUTE_BACKENDS: Mapping[str, str] = {
    "process": "mnistkit.local.processes.compute:ProcessCompute",
    "in-process": "mnistkit.local.threads:InProcessCompute",
    "dask": "mnistkit.dask.compute:DaskCompute",
    "azureml": "mnistkit.azureml.backends:compute_backend",
}
"""Compute backends by name, as ``module:callable``."""
MODEL_REGISTRIES: Mapping[str, str] = {
    "folder": "mnistkit.local.registry.registry:FolderRegistry",
    "azureml": "mnistkit.azureml.backends:model_registry",
    "mlflow": "mnistkit.mlflow.registry:MlflowRegistry.from_home",
}
"""Model registries by name, as ``module:callable``."""
DEPLOYMENT_TARGETS: Mapping[str, str] = {
    "local": "mnistkit.local.deployments:LocalDeployments",
    "aci": "mnistkit.azureml.v1.deployments:AciDeployments.from_home",
    "endpoint": "mnistkit.azureml.v2.deployments:ManagedEndpoints.from_home",
}
"""Deployment targets by name, as ``module:callable``."""

_TRACKING = "mnistkit.mlflow.observer:MlflowRuns.from_home"

_GROUPS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "dataset": ("mnistkit.data_sources", DATA_SOURCES),
    "compute backend": ("mnistkit.compute_backends", COMPUTE_BACKENDS),
    "model registry": ("mnistkit.model_registries", MODEL_REGISTRIES),
    "deployment target": ("mnistkit.deployment_targets", DEPLOYMENT_TARGETS),
}


def data_source(uri: str, options: Mapping[str, Any] | None = None) -> DataSource:
    """Return the source of a uri such as ``"mnist"`` or ``"idx:/data/mine"``.

    Raises:
        UnknownNameError: No source has that name, or it has no such option; lists those that exist. For a file or
            folder that can be imported, the message has the command that does it.
        MissingExtraError: It needs a package that isn't installed.
    """
    use = "a uri such as 'mnist' or 'idx:FOLDER'; Dataset.from_arrays(X, y) makes a dataset of arrays"
    check_type(uri, str, "The dataset", use)
    name = re.split("[:?]", uri, maxsplit=1)[0]
    try:
        return cast("DataSource", _make("dataset", name, uri, options or {}))
    except UnknownNameError as error:
        hint = _import_hint(name, uri)
        if hint is None:
            raise
        raise UnknownNameError(hint) from error


def load_dataset(uri: str) -> Dataset:
    """Load a dataset by its uri through the user's cache, verified.

    Args:
        uri: ``"mnist"``, ``"fashion-mnist"``, ``"digits"``, ``"idx:FOLDER"`` and so on.

    Raises:
        UnknownNameError: There is no such dataset; lists those that exist.
        DataError: It can't be fetched, or isn't what is pinned.
    """
    from mnistkit.data.fetching import fetch_dataset

    return fetch_dataset(data_source(uri))


def compute_backend(name: str, home: Path, options: Mapping[str, Any] | None = None) -> ComputeBackend:
    """Return the compute backend of that name, with its runs in ``home``.

    Raises:
        UnknownNameError: There is no such backend, or it has no such option; lists those that exist.
        MissingExtraError: It needs a package that isn't installed.
    """
    return cast("ComputeBackend", _make("compute backend", name, home, options or {}))


def configured_compute(config: Config) -> ComputeBackend:
    """Return the compute backend that a configuration names; raises as `compute_backend`."""
    options = dict(config.compute)
    return compute_backend(options.pop("backend"), home_folder(config.home), options)


def configured_models(config: Config) -> ModelRegistry:
    """Return the model registry that a configuration names; raises as `model_registry`."""
    options = dict(config.models)
    return model_registry(options.pop("backend"), home_folder(config.home), options)


def model_registry(name: str, home: Path, options: Mapping[str, Any] | None = None) -> ModelRegistry:
    """Return the model registry of that name, with its models in ``home``.

    Raises:
        UnknownNameError: There is no such registry, or it has no such option; lists those that exist.
        MissingExtraError: It needs a package that isn't installed.
    """
    return cast("ModelRegistry", _make("model registry", name, home, options or {}))


def deployment_target(name: str, home: Path, options: Mapping[str, Any] | None = None) -> DeploymentTarget:
    """Return the deployment target of that name, with what it keeps on this machine in ``home``.

    Raises:
        UnknownNameError: There is no such target, or it has no such option; lists those that exist.
        MissingExtraError: It needs a package that isn't installed.
    """
    return cast("DeploymentTarget", _make("deployment target", name, home, options or {}))


def run_tracking(uri: str, home: Path) -> RunObserver:
    """Return the observer that mirrors runs to an address, as ``track`` in a configuration file has it.

    Raises:
        UsageError: It isn't the address of an MLflow server or database file.
        MissingExtraError: MLflow isn't installed.
    """
    module, _, path = _TRACKING.partition(":")
    observer: RunObserver = attrgetter(path)(importlib.import_module(module))(home, uri=uri)
    return observer


def names(kind: str) -> tuple[str, ...]:
    """Return all names of a kind, such as ``"dataset"`` or ``"compute backend"``. Built-in ones first."""
    group, builtin = _GROUPS[kind]
    return (*builtin, *sorted({point.name for point in entry_points(group=group)} - builtin.keys()))


def _import_hint(name: str, uri: str) -> str | None:
    if name in names("dataset"):
        return None
    from mnistkit.data.importing.commands import import_hint  # loads numpy

    return import_hint(uri)


def _make(kind: str, name: str, what: object, options: Mapping[str, Any]) -> object:
    factory = _load(kind, name)
    if not options:
        return factory(what)
    valid = [p.name for p in inspect.signature(factory).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in valid:
            raise UnknownNameError(
                f"The {kind} {name!r} has no option {option!r}; it has {', '.join(valid) or 'none'}."
            )
    try:
        return factory(what, **options)
    except TypeError as error:
        raise UsageError(f"The {kind} {name!r} can't be made with {dict(options)}: {error}.") from error


def _load(kind: str, name: str) -> Any:
    group, builtin = _GROUPS[kind]
    if name in builtin:
        module, _, path = builtin[name].partition(":")
        try:
            return attrgetter(path)(importlib.import_module(module))
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"The {kind} {name!r} needs the package {error.name!r}, which isn't installed."
            ) from error
    for point in entry_points(group=group, name=name):
        try:
            return point.load()
        except (ImportError, AttributeError) as error:
            raise MissingExtraError(f"The {kind} {name!r}, from {point.value}, can't be loaded: {error}.") from error
    valid = names(kind)
    close = get_close_matches(name, valid, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    rest = {"array": ":SHA256", "idx": ":FOLDER", "azureml": ":mnist_opendataset"}
    shown = ", ".join(f"{each}{rest.get(each, '')}" for each in valid)
    raise UnknownNameError(f"There is no {kind} {name!r}; there are {shown}.{hint}")
