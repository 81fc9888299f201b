"""The one module that imports ``azureml.*``: late, quietly, patched where that is needed.

Each patch names the release that it was written against. The SDK's support ended on 2026-06-30; the suite in
tests/azure_v1 fails where a patch doesn't fit the installed release.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache, partial
from types import ModuleType
from typing import Any

from mnistkit.azureml.calls import is_within_call
from mnistkit.azureml.node.layout import JOB_FOLDER
from mnistkit.errors import MissingExtraError

__all__ = ["is_estimator_available", "log_scalar", "sdk", "sdk_versions", "silence", "silence_engine", "submitted_run"]

_IMPORT_VARIABLES = {  # the SDK reads these when it is imported, and only then
    "HBI_WORKSPACE_JOB": "true",  # azureml-telemetry 1.62: the loggers send nothing
    "AZUREML_LOG_DEPRECATION_WARNING_ENABLED": "False",  # azureml-core 1.61: Model.deploy warns on standard error
}
_BACKOFFS = ("DEFAULT_BACKOFF", "DEFAULT_500_BACKOFF", "DEFAULT_503_BACKOFF")
_BACKOFF_SECONDS = 1

_NOISY_LOGGERS = ("azureml", "azure", "msrest", "msrestazure", "msal", "adal-python", "azure.identity", "cli.azure")
_PRINTING_MODULES = ("engineless_dataflow", "_azure_access_token_resolver")
_importing = threading.RLock()


def sdk(module: str = "azureml.core") -> ModuleType:
    """Return one of the SDK's modules, such as ``"azureml.core.compute"``.

    Raises:
        MissingExtraError: The extra isn't installed, or there is no SDK for this Python.
    """
    with _importing:
        if module in sys.modules and "azureml.core" in sys.modules and _is_patched():
            return sys.modules[module]
        with _quiet_imports():
            try:
                _patch()
                return importlib.import_module(module)
            except ImportError as error:
                raise MissingExtraError(_missing_message(module, error)) from error


def sdk_versions() -> dict[str, str]:
    """Return the installed versions of the SDK's packages by name. Imports none of them."""
    from importlib import metadata

    names = ("azureml-core", "azureml-train-core", "azureml-opendatasets", "azureml-dataset-runtime")
    versions = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def is_estimator_available() -> bool:
    """Return True if this release of the SDK has the tutorial's ``Estimator``, which is deprecated since 1.14."""
    try:
        return hasattr(sdk("azureml.train.estimator"), "Estimator")
    except MissingExtraError:
        return False


def submitted_run() -> Any:
    """Return the Azure run that this process belongs to; None if it belongs to none."""
    if not os.environ.get("AZUREML_RUN_ID"):
        return None
    core = sdk("azureml.core.run")
    with contextlib.suppress(sdk("azureml.exceptions").RunEnvironmentException):
        return core.Run.get_context(allow_offline=False)
    return None


def log_scalar(run: Any, name: str, value: float, step: int | None, at: datetime) -> None:
    """Log one value of a metric to an Azure run, as ``Run.log`` does, with the time at which it was measured.

    ``Run.log`` of azureml-core 1.61 takes no time: it would be that of the upload, and points of one step would change
    their order. `log_v2` calls ``create_v2_dto``, so a metric that returns a prepared one has the time wanted.
    """
    metric = sdk("azureml.core._metrics").ScalarMetric(name, value, step=step)
    dto = metric.create_v2_dto()
    dto.value[0].created_utc = at
    metric.create_v2_dto = lambda: dto
    run._client.metrics.log_v2(metric)  # noqa: SLF001 - see above


def silence_engine() -> None:
    """Keep the SDK's data engine from printing to standard output.

    azureml-dataprep 5.5 calls ``print`` where it optimizes paths and where it fails to get a token; there is no switch.
    """
    for module in _PRINTING_MODULES:
        sdk(f"azureml.dataprep.api.{module}").__dict__["print"] = _print_nothing


def silence(module: str) -> None:
    """Keep a module of the SDK from printing in the calls of mnistkit; a program's own calls print as ever.

    azureml-core 1.61: ``wait_for_deployment(show_output=False)`` prints all the same.
    """
    sdk(module).__dict__["print"] = partial(_call_outside_of_ours, print)


def _missing_message(module: str, error: ImportError) -> str:
    version = ".".join(map(str, sys.version_info[:2]))
    if sys.version_info >= (3, 12):
        return f"There is no Azure ML SDK v1 for Python {version}: use Python 3.10 or 3.11 with 'mnistkit[azure-v1]'."
    return (
        f"Azure ML needs its SDK v1, and {module} can't be imported ({error}): python -m pip install "
        f"'mnistkit[azure-v1]', in an environment of its own, with Python 3.10 or 3.11 (this is {version})."
    )


@contextlib.contextmanager
def _quiet_imports() -> Iterator[None]:
    """Hold back warnings and telemetry of the imports in the block."""
    before = {name: os.environ.get(name) for name in _IMPORT_VARIABLES}
    os.environ.update({name: value for name, value in _IMPORT_VARIABLES.items() if before[name] is None})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


@cache
def _patch() -> None:
    """Import the SDK, and patch it: silent, without telemetry, with short pauses, without changes of the folder."""
    for name in _NOISY_LOGGERS:  # each error is raised as well: the SDK logs it in addition
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"azureml(\.|$)")
    with contextlib.suppress(ImportError):  # azureml-telemetry isn't part of every installation
        # azureml-telemetry 1.62: HBI_WORKSPACE_JOB stops the loggers that exist, this stops new ones.
        telemetry = importlib.import_module("azureml.telemetry.loggers")
        telemetry.Loggers.default_logger = classmethod(lambda cls, *args, **options: _NoTelemetry())  # noqa: ARG005 - its signature
    importlib.import_module("azureml.core")
    # azureml-core 1.61 waits 32 s before a second try, then doubles it: beyond any deadline of ours.
    client = importlib.import_module("azureml._restclient.clientbase")
    for name in _BACKOFFS:
        if f"AZUREML_{name}" not in os.environ:
            setattr(client, name, _BACKOFF_SECONDS)
    _keep_working_directory(importlib.import_module("azureml._base_sdk_common.tracking").global_tracking_info_registry)


def _keep_working_directory(registry: Any) -> None:
    """Keep the SDK from changing the working directory of this process, and so of all its threads.

    azureml-core 1.61 does so at each submit, to run git in the folder that is submitted. That is our copy, of which git
    has no record; where a run comes from is in its `mnistkit.jobs.Provenance`.
    """
    gather = registry.gather_all

    def gather_all(base_directory: str | None = None) -> dict[str, str]:
        is_ours = base_directory is not None and os.path.isdir(os.path.join(base_directory, JOB_FOLDER))  # noqa: PTH112, PTH118 - a text
        found: dict[str, str] = {} if is_ours else gather(base_directory)
        return found

    registry.gather_all = gather_all


def _is_patched() -> bool:
    return _patch.cache_info().currsize > 0


def _print_nothing(*_: object, **__: object) -> None:
    """Replace the print of the SDK's engine."""


class _NoTelemetry:
    """Replaces the SDK's event logger, and sends nothing."""

    def log_event(self, *args: Any, **options: Any) -> str:  # noqa: ARG002 - the SDK's signature
        return ""

    def log_metric(self, *args: Any, **options: Any) -> str:  # noqa: ARG002 - the SDK's signature
        return ""

    def flush(self) -> None:
        pass


def _call_outside_of_ours(function: Callable[..., None], *values: object, **options: Any) -> None:
    """Call a function as ever, unless mnistkit made the call."""
    if not is_within_call():
        function(*values, **options)
