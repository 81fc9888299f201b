"""The one door to ``azureml.*``: imported late and quietly, called with a deadline, its exceptions translated.

Nothing else in mnistkit imports the SDK; `sdk` returns its modules.
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
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

from mnistkit.azureml.v1.failures import failure
from mnistkit.errors import MissingExtraError, MnistkitError, ServiceTimeoutError

__all__ = [
    "DEADLINE",
    "JOB_FOLDER",
    "call",
    "is_estimator_there",
    "scalar",
    "sdk",
    "sdk_versions",
    "submitted_run",
    "translated",
]

DEADLINE = 120.0
"""Seconds that one call to Azure ML may take, with its retries, unless the caller says otherwise."""

JOB_FOLDER = "mnistkit_job"
"""The folder beside the script that holds what mnistkit sends along."""

_Result = TypeVar("_Result")

_QUIET = {  # the SDK reads these when it is imported
    "HBI_WORKSPACE_JOB": "true",  # no telemetry
    "AZUREML_LOG_DEPRECATION_WARNING_ENABLED": "False",
}
_BACKOFFS = ("DEFAULT_BACKOFF", "DEFAULT_500_BACKOFF", "DEFAULT_503_BACKOFF")
"""Seconds of the SDK's between two tries, doubled each time: its own, up to 32, are beyond any deadline of ours."""

_LOUD = ("azureml", "azure", "msrest", "msrestazure", "msal", "adal-python", "azure.identity", "cli.azure")
_importing = threading.RLock()

_log = logging.getLogger(__name__)


def sdk(module: str = "azureml.core") -> ModuleType:
    """One of the SDK's modules, such as ``"azureml.core.compute"``.

    Raises:
        MissingExtraError: The extra isn't installed, or there is no SDK for this Python.
    """
    with _importing:
        if module in sys.modules and "azureml.core" in sys.modules and _is_hushed():
            return sys.modules[module]
        with _quietly():
            try:
                _hush()
                return importlib.import_module(module)
            except ImportError as error:
                raise MissingExtraError(_missing(module, error)) from error


def sdk_versions() -> dict[str, str]:
    """The versions of the SDK's packages that are installed, by name. Imports none of them."""
    from importlib import metadata

    names = ("azureml-core", "azureml-train-core", "azureml-opendatasets", "azureml-dataset-runtime")
    versions = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def is_estimator_there() -> bool:
    """Whether this release of the SDK still has the tutorial's ``Estimator``."""
    try:
        return hasattr(sdk("azureml.train.estimator"), "Estimator")
    except MissingExtraError:
        return False


def submitted_run() -> Any:
    """The Azure run that this process belongs to; None if it belongs to none."""
    if not os.environ.get("AZUREML_RUN_ID"):
        return None
    core = sdk("azureml.core.run")
    with contextlib.suppress(sdk("azureml.exceptions").RunEnvironmentException):
        return core.Run.get_context(allow_offline=False)
    return None


def scalar(run: Any, name: str, value: float, step: int | None, at: datetime) -> None:
    """Log one value of a metric to an Azure run, as ``Run.log`` does, with the time at which it was measured."""
    metric = sdk("azureml.core._metrics").ScalarMetric(name, value, step=step)
    dto = metric.create_v2_dto()
    dto.value[0].created_utc = at
    metric.create_v2_dto = lambda: dto
    run._client.metrics.log_v2(metric)  # noqa: SLF001 - Run.log takes no time


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise what the SDK raises in the block as an error of ours, with the original as its cause.

    Args:
        what: What the block does, for the message: ``"submitting a run"``.
    """
    try:
        yield
    except MnistkitError:
        raise
    except Exception as error:
        raise failure(error, what) from error


def call(
    what: str, function: Callable[..., _Result], *args: Any, seconds: float | None = None, **options: Any
) -> _Result:
    """Call ``function`` with a deadline, and translate what it raises.

    The SDK's requests have no deadlines of their own: a call that is late goes on, on a thread that nobody waits for.

    Args:
        what: What the call does, for the message: ``"submitting a run"``.
        function: What to call.
        args: Its arguments.
        seconds: The deadline; None for `DEADLINE`.
        options: Its keyword arguments.

    Raises:
        ServiceTimeoutError: It is not done by then.
        ServiceError: As `translated` makes of what it raises, and `mnistkit.errors.NotFoundError` or
            `mnistkit.errors.ConflictError`.
    """
    seconds = DEADLINE if seconds is None else seconds
    done = threading.Event()
    result: list[_Result] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            with translated(what):
                result.append(function(*args, **options))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name=f"azureml: {what}", daemon=True).start()
    if not done.wait(seconds):
        raise ServiceTimeoutError(
            f"Azure ML: {what} gave no answer within {seconds:g} s. Look whether it was done, and try again."
        )
    if raised:
        raise raised[0]
    return result[0]


def _missing(module: str, error: ImportError) -> str:
    version = ".".join(map(str, sys.version_info[:2]))
    if sys.version_info >= (3, 12):
        return f"There is no Azure ML SDK for Python {version}: use Python 3.10 or 3.11 with 'mnistkit[azure]'."
    return (
        f"Azure ML needs its SDK, and {module} can't be imported ({error}): python -m pip install 'mnistkit[azure]', "
        f"in an environment of its own, with Python 3.10 or 3.11 (this is {version})."
    )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Hold back what the SDK says and sends while it is imported."""
    before = {name: os.environ.get(name) for name in _QUIET}
    os.environ.update({name: value for name, value in _QUIET.items() if before[name] is None})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


@cache
def _hush() -> None:
    """Hold back what the SDK says later, and have it send no telemetry."""
    for name in _LOUD:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"azureml(\.|$)")
    with contextlib.suppress(ImportError):  # it isn't part of every installation
        telemetry = importlib.import_module("azureml.telemetry.loggers")
        telemetry.Loggers.default_logger = classmethod(lambda cls, *args, **options: _NoTelemetry())  # noqa: ARG005 - its signature
    importlib.import_module("azureml.core")
    client = importlib.import_module("azureml._restclient.clientbase")
    for name in _BACKOFFS:
        if f"AZUREML_{name}" not in os.environ:
            setattr(client, name, 1)
    _stay_here(importlib.import_module("azureml._base_sdk_common.tracking").global_tracking_info_registry)


def _stay_here(registry: Any) -> None:
    """Keep the SDK from changing this process's working directory, with all its threads, to ask git about our copies.

    Where a run comes from is in its `mnistkit.jobs.Provenance`.
    """
    gather = registry.gather_all

    def gather_all(base_directory: str | None = None) -> dict[str, str]:
        is_ours = base_directory is not None and os.path.isdir(os.path.join(base_directory, JOB_FOLDER))  # noqa: PTH112, PTH118 - a text
        found: dict[str, str] = {} if is_ours else gather(base_directory)
        return found

    registry.gather_all = gather_all


def _is_hushed() -> bool:
    return _hush.cache_info().currsize > 0


class _NoTelemetry:
    """Takes the place of the SDK's event logger, and sends nothing."""

    def log_event(self, *args: Any, **options: Any) -> str:  # noqa: ARG002 - the SDK's signature
        return ""

    def log_metric(self, *args: Any, **options: Any) -> str:  # noqa: ARG002 - the SDK's signature
        return ""

    def flush(self) -> None:
        pass
