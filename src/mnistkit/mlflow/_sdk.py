"""The one module that imports ``mlflow``: late, quietly, without telemetry, with its errors translated."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from mnistkit.errors import AuthenticationError, MissingExtraError, MnistkitError, ServiceError, StorageError
from mnistkit.mlflow.address import Address
from mnistkit.utils.redaction import public_text

__all__ = [
    "MAX_TAG_CHARS",
    "calls",
    "check_installed",
    "client",
    "create_experiment",
    "delete_artifacts",
    "download_artifacts",
    "entities",
    "is_missing",
    "is_taken",
    "pages",
    "retried",
    "sdk",
    "set_ended",
    "set_status",
    "turn",
]

MAX_TAG_CHARS = 90_000
"""The longest text that is kept in a tag of a model version; MLflow takes 100,000 characters."""

_PAGE_ENTRIES = 1000
_REACH_SECONDS = 5.0
_RETRY_SECONDS = 60.0
_MAX_MESSAGE_CHARS = 500
_TELEMETRY_VARIABLE = "MLFLOW_DISABLE_TELEMETRY"
_TRANSIENT = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
_LOST_RACES = ("database is locked", "Giving up after", "UNIQUE constraint failed")

_clients: dict[tuple[str, int], Any] = {}
_turns: dict[tuple[str, int], Any] = {}
_held: set[tuple[str, int]] = set()
_experiments: dict[tuple[str, str], str] = {}
_opening, _importing = threading.RLock(), threading.RLock()
_T = TypeVar("_T")


@cache
def sdk(module: str = "mlflow") -> ModuleType:
    """Return one of MLflow's modules, such as ``"mlflow.entities"``.

    Raises:
        MissingExtraError: The extra isn't installed.
    """
    try:
        with _importing, _without_telemetry():
            return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"MLflow can't be imported ({error}): python -m pip install 'mnistkit[mlflow]'."
        ) from error


def check_installed() -> None:
    """Check that MLflow is installed, without importing it.

    Raises:
        MissingExtraError: It isn't.
    """
    if importlib.util.find_spec("mlflow") is None:
        raise MissingExtraError("MLflow isn't installed: python -m pip install 'mnistkit[mlflow]'.")


def client(address: Address) -> Any:
    """Return the ``MlflowClient`` of an address, one in this process; a database file that isn't there is made.

    Use it within `calls`, which translates its errors.
    """
    key = (address.uri, os.getpid())  # a connection to a database doesn't survive a fork
    if key not in _clients:
        # In this order: who has the turn may be about to open a client.
        with turn(address), _opening:
            if key not in _clients:
                _clients[key] = _opened(address)
    return _clients[key]


@contextlib.contextmanager
def calls(address: Address) -> Iterator[None]:
    """Check that a server answers, and translate what MLflow raises within the block.

    Raises:
        AuthenticationError: The server refuses the user.
        StorageError: The database file can't be made, read or written.
        ServiceError: The server can't be reached, or anything else.
    """
    exceptions = sdk("mlflow.exceptions")
    _check_reachable(address)
    try:
        yield
    except MnistkitError:  # some are OSErrors
        raise
    except exceptions.MlflowException as error:
        _experiments.clear()  # one may have been deleted
        message = _brief(error.message)
        if error.get_http_status_code() in {401, 403}:
            raise AuthenticationError(
                f"MLflow at {address.shown} refuses: {message} Set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
            ) from error
        raise ServiceError(f"MLflow at {address.shown}: {message}") from error
    except sdk("requests").RequestException as error:
        raise ServiceError(f"MLflow at {address.shown}: {_brief(error)}") from error
    except sdk("sqlalchemy.exc").SQLAlchemyError as error:
        raise StorageError(
            f"{address.shown} can't be used as MLflow's database: {_brief(error)} Name a file of MLflow's, or one that "
            "isn't there yet, in a folder that can be written."
        ) from error
    except OSError as error:
        raise StorageError(
            f"{address.shown}, or the files of models and runs beside it, can't be read or written: {_brief(error)} "
            "Make room or make it writable, or name another file."
        ) from error


@contextlib.contextmanager
def turn(address: Address) -> Iterator[None]:
    """Hold a database file for the block: other threads and processes of mnistkit's wait. Nothing on a server.

    SQLite lets two that have read and want to write fail rather than wait, so that eight threads get nowhere.
    """
    if address.file is None:
        yield
        return
    key = (address.uri, os.getpid())
    lock = _turns.setdefault(key, threading.RLock())
    with lock, contextlib.ExitStack() as stack:
        if key not in _held:
            address.file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_file_lock(address.file))
            _held.add(key)
            stack.callback(_held.discard, key)
        yield


def retried(address: Address, function: Callable[[], _T], done: Callable[[], _T | None] = lambda: None) -> _T:
    """Return what a function returns, called again while others hold the database.

    Args:
        address: Where it writes.
        function: Writes.
        done: Called before it is called again: what it would return, if the call that failed did its work; else None.
    """
    deadline, pause = time.monotonic() + _RETRY_SECONDS, 0.02
    while True:
        try:
            with turn(address):
                return function()
        except sdk("mlflow.exceptions").MlflowException as error:
            is_transient = error.error_code in _TRANSIENT or any(text in str(error) for text in _LOST_RACES)
            if not is_transient or time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
        if (result := done()) is not None:
            return result


def pages(search: Callable[..., Any], *arguments: Any, **options: Any) -> list[Any]:
    """Return all results of a search of a client, which gives them page by page."""
    found: list[Any] = []
    token = None
    while True:
        page = search(*arguments, **options, max_results=_PAGE_ENTRIES, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def is_missing(error: Exception) -> bool:
    """Return True if MLflow says that there is no such thing."""
    return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


def is_taken(error: Exception) -> bool:
    """Return True if MLflow says that there is one already."""
    return getattr(error, "error_code", "") == "RESOURCE_ALREADY_EXISTS"


def create_experiment(address: Address, name: str) -> str:
    """Return the id of an experiment, made if need be, with its files beside the database file.

    One that was deleted is restored: its name stays taken.
    """
    key = (address.uri, name)
    if key not in _experiments:
        _experiments[key] = _experiment(address, name)
    return _experiments[key]


def set_ended(address: Address, run_id: str, status: str, end_time: int | None = None) -> None:
    """Set the terminal status of a run and the time of its end, in milliseconds.

    The client's own ``set_terminated`` prints links to the standard output.
    """
    status_code = sdk("mlflow.entities").RunStatus.from_string(status)
    store = client(address)._tracking_client.store  # noqa: SLF001 - see above
    end_time = int(time.time() * 1000) if end_time is None else end_time
    retried(address, lambda: store.update_run_info(run_id, status_code, end_time, None))


def set_status(address: Address, run_id: str, status: str) -> None:
    """Set the status of a run that hasn't ended."""
    status_code = sdk("mlflow.entities").RunStatus.from_string(status)
    store = client(address)._tracking_client.store  # noqa: SLF001 - its own ``update_run`` reads the run first
    retried(address, lambda: store.update_run_info(run_id, status_code, None, None))


def download_artifacts(address: Address, uri: str, into: Path) -> None:
    """Copy the files below an artifact's uri into a folder that is there."""
    _repository(address, uri).download_artifacts("", str(into))


def delete_artifacts(address: Address, uri: str) -> None:
    """Remove the files below an artifact's uri."""
    _repository(address, uri).delete_artifacts()


def entities(kind: str, values: Mapping[str, Any]) -> list[Any]:
    """Return ``Param`` or ``RunTag`` entities, one per key and value."""
    made = getattr(sdk("mlflow.entities"), kind)
    return [made(key, value) for key, value in values.items()]


def _experiment(address: Address, name: str) -> str:
    made = client(address)
    place = None if address.artifacts is None else f"{address.artifacts.as_uri()}/{name}"
    found = made.get_experiment_by_name(name)
    if found is None:
        try:
            return str(retried(address, lambda: made.create_experiment(name, artifact_location=place)))
        except sdk("mlflow.exceptions").MlflowException as error:
            found = made.get_experiment_by_name(name)
            if found is None or not is_taken(error):
                raise
    if found.lifecycle_stage == "deleted":
        made.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _repository(address: Address, uri: str) -> Any:
    repositories = sdk("mlflow.store.artifact.artifact_repository_registry")
    return repositories.get_artifact_repository(uri, tracking_uri=address.uri, registry_uri=address.uri)


def _opened(address: Address) -> Any:
    """Return a new client. The first of a file makes the tables, and fails if another one does so at the same time."""
    made = sdk().MlflowClient(tracking_uri=address.uri, registry_uri=address.uri)
    if address.file is not None:
        made.search_registered_models(max_results=1)
        made.search_experiments(max_results=1)
    return made


def _file_lock(file: Path) -> contextlib.AbstractContextManager[Any]:
    if os.name == "nt":  # MLflow has no lock there
        return contextlib.nullcontext()
    lock: contextlib.AbstractContextManager[Any] = sdk("mlflow.utils.file_utils").ExclusiveFileLock(f"{file}.lock")
    return lock


def _check_reachable(address: Address) -> None:
    """Raise the error for a server that doesn't answer.

    MLflow's own calls try again for minutes, with settings that are the whole process's.
    """
    if address.file is not None:
        return
    requests = sdk("mlflow.utils.rest_utils")
    credentials = sdk("mlflow.tracking._tracking_service.utils").get_default_host_creds(address.uri)
    try:
        requests.http_request(
            credentials, "/health", "GET", max_retries=0, timeout=_REACH_SECONDS, raise_on_status=False
        )
    except Exception as error:
        raise ServiceError(f"MLflow at {address.shown} can't be reached: {_brief(error)} Start the server.") from error


def _brief(error: object) -> str:
    """Return what an error says, as one sentence without secrets."""
    return f"{public_text(str(error))[:_MAX_MESSAGE_CHARS].rstrip('. ')}."


@contextlib.contextmanager
def _without_telemetry() -> Iterator[None]:
    """Import MLflow without its telemetry, and hold its notices about databases back; a user's settings stay."""
    before = os.environ.get(_TELEMETRY_VARIABLE)
    os.environ.setdefault(_TELEMETRY_VARIABLE, "true")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_TELEMETRY_VARIABLE, None)
    for name in ("mlflow.store.db.utils", "alembic"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
