"""A run of the workspace as our `RunRecord`: what the properties of a run say, and what Azure's words mean."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from attrs import frozen

from mnistkit.azureml.node.job import JOB_FOLDER, MANIFEST_FILE, PROPERTY
from mnistkit.errors import DataFormatError
from mnistkit.jobs.job import Job, ScriptJob, TrainingJob
from mnistkit.jobs.provenance import Provenance
from mnistkit.runs.record import Attempt, MetricPoint, RunRecord, RunState, Transition
from mnistkit.utils.serialization import from_json, to_json

__all__ = ["PROPERTIES", "STATES", "Result", "ended", "of_job", "read", "state_of"]

PROPERTIES = (f"{PROPERTY}job", f"{PROPERTY}about", f"{PROPERTY}ended", f"{PROPERTY}result", f"{PROPERTY}attempt")
"""The properties of a run that are ours: what it runs, what there is to say of that, how it ended without having
begun, what the node said at its end, and each attempt."""

STATES: Mapping[str, RunState] = {
    "NotStarted": RunState.QUEUED,
    "Unapproved": RunState.QUEUED,
    "Queued": RunState.QUEUED,
    "Paused": RunState.QUEUED,
    "Starting": RunState.PREPARING,
    "Provisioning": RunState.PREPARING,
    "Preparing": RunState.PREPARING,
    "Running": RunState.RUNNING,
    "NotResponding": RunState.RUNNING,
    "Finalizing": RunState.FINALIZING,
    "CancelRequested": RunState.CANCEL_REQUESTED,
    "Completed": RunState.COMPLETED,
    "Finished": RunState.COMPLETED,
    "Failed": RunState.FAILED,
    "Canceled": RunState.CANCELED,
}
"""Azure's words for states, and ours."""

_LONGEST = 900
_log = logging.getLogger(__name__)


@frozen
class Result:
    """What the node said at the end of a job.

    Attributes:
        versions: Of Python and the libraries that ran it.
        points: How many metric points it has logged for it.
        manifest: The sha256 of the list of its outputs; None without outputs.
    """

    versions: Mapping[str, str]
    points: int
    manifest: str | None

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> Result | None:
        """What the properties of a run hold of it; None if the node said nothing, as when it was ended."""
        value = _joined(properties, PROPERTIES[3])
        return cls(**json.loads(value)) if value else None


def of_job(job: Job, uri: str, submitted: datetime, provenance: Provenance) -> dict[str, str]:
    """The properties that make a run of the workspace one of ours."""
    about = {"data": uri, "submitted": submitted.isoformat(), "provenance": to_json(provenance).decode()}
    return {**_parts(PROPERTIES[0], to_json(job).decode()), **_parts(PROPERTIES[1], json.dumps(about))}


def ended(state: RunState, error: str | None, traceback: str | None) -> dict[str, str]:
    """The properties of a run that ended before it was given to the cluster."""
    told = {"state": state.value, "error": error, "traceback": (traceback or "")[-4 * _LONGEST :] or None}
    return _parts(PROPERTIES[2], json.dumps(told))


def state_of(dto: Any) -> RunState:
    """Where a run is, in our words; a word of Azure's that we don't know is Running, and a warning."""
    told = _joined(dto.properties or {}, PROPERTIES[2])
    if told:
        return RunState(json.loads(told)["state"])
    state = STATES.get(dto.status)
    if state is None:
        _log.warning(
            "Azure ML says that run %s is %r, which mnistkit doesn't know: taken as Running.", dto.run_id, dto.status
        )
        return RunState.RUNNING
    return state


def read(
    dto: Any, *, points: Sequence[MetricPoint], files: Sequence[str], error: str | None, log: str, url: str
) -> RunRecord:
    """The record of a run.

    Args:
        dto: The SDK's data object.
        points: Its metrics.
        files: Their names.
        error: Why it failed, as Azure says.
        log: The last lines of its log, if it failed.
        url: Where a person can look at it.

    Raises:
        DataFormatError: It isn't one of ours, or its properties can't be read.
    """
    properties = dto.properties or {}
    where = f"run {dto.run_id}"
    try:
        job: Job = from_json(_joined(properties, PROPERTIES[0]), ScriptJob | TrainingJob, where)
        about = json.loads(_joined(properties, PROPERTIES[1]))
        result, attempts = Result.of(properties), _attempts(properties)
        told = json.loads(_joined(properties, PROPERTIES[2]) or "{}")
        submitted = datetime.fromisoformat(about["submitted"])
        provenance = from_json(about["provenance"], Provenance, where)
    except (KeyError, TypeError, ValueError) as problem:
        raise DataFormatError(f"{where} wasn't submitted by mnistkit, or not read: {problem}.") from problem
    state = state_of(dto)
    failed = state is RunState.FAILED
    cause = told.get("error") or (attempts[-1].error if attempts else None) or error
    return RunRecord(
        id=dto.run_id,
        job=job,
        data=about["data"],
        transitions=_transitions(dto, state, submitted, began=not told),
        points=tuple(_of_last_attempt(points, attempts, result)),
        files=tuple(file for file in files if file != MANIFEST_FILE and not file.startswith(f"{JOB_FOLDER}/")),
        tags={**job.tags, **(dto.tags or {})},
        error=cause if failed else None,
        traceback=(told.get("traceback") or log or None) if failed else None,
        attempts=attempts,
        url=url,
        versions=result.versions if result else {},
        provenance=provenance,
    )


def _transitions(dto: Any, state: RunState, submitted: datetime, *, began: bool) -> tuple[Transition, ...]:
    """The states that are known to have been passed, by the service's clock; never backwards."""
    created = _utc(dto.created_utc) or submitted
    path = [Transition(RunState.QUEUED, min(submitted, created))]
    start, end = _utc(dto.start_time_utc), _utc(dto.end_time_utc)
    if start and began and state not in {RunState.QUEUED, RunState.PREPARING}:
        path.append(Transition(RunState.RUNNING, max(start, path[-1].at)))
    if path[-1].state is not state:
        at = (end if state.is_terminal else None) or path[-1].at
        path.append(Transition(state, max(at, path[-1].at)))
    return tuple(path)


def _attempts(properties: Mapping[str, str]) -> tuple[Attempt, ...]:
    found: list[Attempt] = []
    while text := _joined(properties, f"{PROPERTIES[4]}{len(found) + 1}"):
        told = json.loads(text)
        began, end = (datetime.fromisoformat(told.pop(key)) for key in ("started_at", "ended_at"))
        found.append(Attempt(started_at=began, ended_at=end, **told))
    return tuple(found)


def _of_last_attempt(
    points: Sequence[MetricPoint], attempts: Sequence[Attempt], result: Result | None
) -> list[MetricPoint]:
    """Without what earlier attempts have logged, which Azure keeps."""
    if not attempts:
        return list(points)
    if result is None:  # another attempt goes on, or was ended
        return [point for point in points if point.time > attempts[-1].ended_at]
    return [point for point in points if len(attempts) == 1 or point.time >= attempts[-1].started_at]


def _parts(name: str, text: str) -> dict[str, str]:
    """A text as properties that aren't too long for Azure."""
    parts = [text[i : i + _LONGEST] for i in range(0, len(text), _LONGEST)]
    return {name if i == 0 else f"{name}_part{i}": part for i, part in enumerate(parts)}


def _joined(properties: Mapping[str, str], name: str) -> str:
    text, i = properties.get(name, ""), 1
    while f"{name}_part{i}" in properties:
        text += properties[f"{name}_part{i}"]
        i += 1
    return text


def _utc(value: Any) -> datetime | None:
    if value is None:
        return None
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    return at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)
