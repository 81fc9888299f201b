"""Registration of versions and events in MLflow: each once, whoever registers at the same time."""

from __future__ import annotations

import contextlib
import logging
import re
from pathlib import Path
from typing import Any

from mnistkit.errors import InvalidNameError, UsageError
from mnistkit.mlflow._sdk import (
    MAX_TAG_CHARS,
    client,
    create_experiment,
    is_missing,
    is_taken,
    pages,
    retried,
    sdk,
    set_ended,
)
from mnistkit.mlflow.address import Address
from mnistkit.mlflow.artifacts import write_model
from mnistkit.mlflow.entries import DIGEST_TAG, EVENT_TAG, MANIFEST_TAG, list_names, location_of, read_log
from mnistkit.mlflow.values import RUN_TAG, is_key, log_values, metrics_of, tags_of
from mnistkit.registry.events import Event, EventLog, log_name
from mnistkit.registry.manifest import Manifest
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.files import sha256_hex
from mnistkit.utils.serialization import to_json

__all__ = ["ensure_name", "find_run", "follow_alias", "publish", "record_event"]

_log = logging.getLogger(__name__)

_EXPERIMENT = "mnistkit-models"
_RUN_ID_PATTERN = re.compile(r"[\w.-]+")
_MAX_ALIAS_MOVES = 20


def ensure_name(address: Address, name: str) -> None:
    """Make a model of that name, if there is none.

    Raises:
        InvalidNameError: Another one's name differs only in case.
    """
    try:
        found = client(address).get_registered_model(name).name
    except sdk("mlflow.exceptions").MlflowException as error:
        if not is_missing(error):
            raise
        others = list_names(address, with_versions=False)
        found = next((other for other in others if other.lower() == name.lower()), None)
    if found is None:
        _create(address, name)
    elif found != name:
        raise InvalidNameError(f"{name!r} differs from the model {found!r} only in case: use that name.")


def publish(address: Address, manifest: Manifest, stage: Path) -> ModelVersion:
    """Log a folder with a version's files as an MLflow model, register it, and return the version.

    The model belongs to the MLflow run that mirrors the run that made it, where there is one, else to a run of its own.
    """
    made = client(address)
    mirrored = find_run(address, manifest.run_id) if manifest.run_id else None
    run = mirrored or _registration_run(address, manifest)
    run_id, place = str(run.info.run_id), f"model-{manifest.nonce}"
    source = f"{run.info.artifact_uri}/{place}"
    try:
        write_model(stage, manifest, run_id)
        made.log_artifacts(run_id, str(stage), place)
        stored = retried(
            address,
            lambda: made.create_model_version(
                manifest.name, source, run_id=run_id, tags=_tags(manifest), description=manifest.description or None
            ),
            lambda: _registered(address, manifest.name, source),
        )
        if address.file is None:  # a request whose answer was lost is sent again by MLflow's client
            stored = _registered(address, manifest.name, source) or stored
    except BaseException:
        if mirrored is None:
            with contextlib.suppress(Exception):
                made.delete_run(run_id)
        raise
    if mirrored is None:
        set_ended(address, run_id, "FINISHED")
    number = int(stored.version)
    return manifest.as_version(number, manifest.to_bytes(), location_of(address, manifest.name, number, source))


def record_event(address: Address, name: str, event: Event, run_id: str | None, *, is_first: bool = True) -> EventLog:
    """Add an event to a model's log, and return the log that includes it.

    Args:
        address: The registry.
        name: The model.
        event: The event.
        run_id: MLflow's run of the version that it is about, if it has one.
        is_first: Whether the log may not be there yet.

    Raises:
        UsageError: Its text is too long.
    """
    text = to_json(event).decode()
    if len(text) > MAX_TAG_CHARS:
        raise UsageError(
            f"The reason takes {len(text)} characters, at most about {MAX_TAG_CHARS} are kept: shorten it."
        )
    if is_first:
        _create(address, log_name(name))
    # A server checks a source: this form needs no file, but a run.
    run_id = run_id or _log_run(address, name)
    source = f"runs:/{run_id}/{event.nonce}"
    made = client(address)
    retried(
        address,
        lambda: made.create_model_version(
            log_name(name), source, run_id=run_id, tags={EVENT_TAG: text}, description=str(event)
        ),
        lambda: _registered(address, log_name(name), source),
    )
    return read_log(address, name)


def follow_alias(address: Address, name: str, alias: str, log: EventLog) -> None:
    """Point MLflow's own alias to what the history says, also if others move it at the same time."""
    made = client(address)
    for _ in range(_MAX_ALIAS_MOVES):
        version = log.histories[alias][-1].version
        try:
            retried(address, lambda: made.set_registered_model_alias(name, alias, str(version)))  # noqa: B023 - called at once
        except sdk("mlflow.exceptions").MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            _log.warning(
                "MLflow has no alias of the name %r, so %s@%s holds in mnistkit alone: %s",
                alias,
                name,
                alias,
                error.message,
            )
            return
        if address.file is not None:  # whoever moves it next waits for its turn
            return
        log = read_log(address, name)
        if log.histories[alias][-1].version == version:
            return


def find_run(address: Address, run_id: str) -> Any:
    """Return MLflow's newest run that mirrors a run; None if there is none."""
    if not _RUN_ID_PATTERN.fullmatch(run_id):
        return None
    experiments = [each.experiment_id for each in pages(client(address).search_experiments)]
    found = client(address).search_runs(
        experiments, f"tags.`{RUN_TAG}` = '{run_id}'", max_results=1, order_by=["attributes.start_time DESC"]
    )
    return found[0] if found else None


def _tags(manifest: Manifest) -> dict[str, str]:
    """Return the tags of a version: the user's, as far as MLflow takes their names, and the manifest."""
    data = manifest.to_bytes()
    tags = {key: value[:MAX_TAG_CHARS] for key, value in manifest.tags.items() if is_key(key)}
    whole = {MANIFEST_TAG: data.decode()} if len(data) <= MAX_TAG_CHARS else {}
    return {**tags, DIGEST_TAG: sha256_hex(data), **whole}


def _registered(address: Address, name: str, source: str) -> Any:
    """Return the version of this source, None if there is none; remove others, as each source is registered once."""
    found = pages(client(address).search_model_versions, f"name = '{name}' and source_path = '{source}'")
    found.sort(key=lambda version: int(version.version))
    for other in found[1:]:
        client(address).delete_model_version(name, str(other.version))
    return found[0] if found else None


def _create(address: Address, name: str) -> None:
    try:
        retried(address, lambda: client(address).create_registered_model(name))
    except sdk("mlflow.exceptions").MlflowException as error:
        if not is_taken(error):
            raise


def _registration_run(address: Address, manifest: Manifest) -> Any:
    """Make an MLflow run for a version that comes from no mirrored run, and return it."""
    made, experiment = client(address), create_experiment(address, _EXPERIMENT)
    tags = {"mnistkit.model": manifest.name, **tags_of(manifest.tags)}
    run = retried(address, lambda: made.create_run(experiment, run_name=f"register {manifest.name}", tags=tags))
    if manifest.metrics:
        log_values(address, run.info.run_id, metrics=metrics_of(manifest.metrics, manifest.created_at))
    return run


def _log_run(address: Address, name: str) -> str:
    experiment = create_experiment(address, _EXPERIMENT)
    run = client(address).create_run(experiment, run_name=f"history of {name}", tags={"mnistkit.model": name})
    set_ended(address, run.info.run_id, "FINISHED")
    return str(run.info.run_id)
