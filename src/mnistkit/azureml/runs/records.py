"""A run of the workspace as a `RunRecord`: our properties of a run, and Azure's states."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import frozen

from mnistkit.azureml.node.layout import JOB_FOLDER, MANIFEST_FILE
from mnistkit.azureml.properties import PREFIX, pack_text, unpack_text
from mnistkit.azureml.runs.history import StoredRun
from mnistkit.errors import DataFormatError, IntegrityError
from mnistkit.jobs.job import Job, ScriptJob, TrainingJob
from mnistkit.jobs.provenance import Provenance
from mnistkit.runs.record import Attempt, MetricPoint, RunRecord, RunState, Transition
from mnistkit.utils.documents import parse_json
from mnistkit.utils.serialization import from_json, to_json

__all__ = ["NOTE_TAG", "PROPERTIES", "STATES", "Result", "end_properties", "job_properties", "read_record", "state_of"]

PROPERTIES = (f"{PREFIX}job", f"{PREFIX}about", f"{PREFIX}ended", f"{PREFIX}result", f"{PREFIX}attempt")
"""Our properties of a run: the job; data and provenance; the end of a run that never started; the node's result; and,
with a number behind it, each attempt."""

NOTE_TAG = f"{PREFIX}note"
"""The tag that holds the note of a run."""

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
"""Our states by Azure's names."""

_MAX_TRACEBACK_CHARS = 3600
_log = logging.getLogger(__name__)


@frozen
class Result:
    """The result that the node wrote at the end of a job.

    Attributes:
        versions: Of Python and the libraries that ran it.
        points: The number of metric points that it has logged.
        manifest: The sha256 of the list of its outputs; None without outputs.
    """

    versions: Mapping[str, str]
    points: int
    manifest: str | None

    @classmethod
    def of(cls, properties: Mapping[str, str], source: str) -> Result | None:
        """Return it from the properties of a run; None if the node wrote none, as when the run was canceled."""
        value = unpack_text(PROPERTIES[3], properties, source)
        result: Result | None = from_json(value, cls, source) if value else None
        return result


def job_properties(job: Job, uri: str, submitted: datetime, provenance: Provenance) -> dict[str, str]:
    """Return the properties that mark a run of the workspace as one of ours."""
    about = {"data": uri, "submitted": submitted.isoformat(), "provenance": to_json(provenance).decode()}
    return {**pack_text(PROPERTIES[0], to_json(job).decode()), **pack_text(PROPERTIES[1], json.dumps(about))}


def end_properties(state: RunState, error: str | None, traceback: str | None) -> dict[str, str]:
    """Return the properties of a run that ended before it was submitted to the cluster."""
    told = {"state": state.value, "error": error, "traceback": (traceback or "")[-_MAX_TRACEBACK_CHARS:] or None}
    return pack_text(PROPERTIES[2], json.dumps(told))


def state_of(run: StoredRun) -> RunState:
    """Return the state of a run; a state of Azure's that isn't in `STATES` is Running, with a warning."""
    told = unpack_text(PROPERTIES[2], run.properties, f"run {run.id}")
    if told:
        return RunState(parse_json(told, f"run {run.id}")["state"])
    state = STATES.get(run.status)
    if state is None:
        _log.warning(
            "Run %s has the state %r, which mnistkit doesn't support: it counts as Running.", run.id, run.status
        )
        return RunState.RUNNING
    return state


def read_record(
    run: StoredRun, *, points: Sequence[MetricPoint], files: Sequence[str], error: str | None, log: str, url: str
) -> RunRecord:
    """Return the record of a run.

    Args:
        run: As the workspace records it.
        points: Its metrics.
        files: Their names.
        error: Azure's reason for its failure.
        log: The last lines of its log, if it failed.
        url: Its page in the studio.

    Raises:
        DataFormatError: It isn't one of ours, or its properties can't be read.
    """
    properties, where = run.properties, f"run {run.id}"
    try:
        job: Job = from_json(unpack_text(PROPERTIES[0], properties, where) or "", ScriptJob | TrainingJob, where)
        about = parse_json(unpack_text(PROPERTIES[1], properties, where) or "", where)
        result, attempts = Result.of(properties, where), _attempts(properties, where)
        told = parse_json(unpack_text(PROPERTIES[2], properties, where) or "{}", where)
        submitted = datetime.fromisoformat(about["submitted"])
        provenance = from_json(about["provenance"], Provenance, where)
    except (LookupError, TypeError, ValueError, IntegrityError) as problem:
        raise DataFormatError(f"its properties can't be read: {str(problem).rstrip('.')}.") from problem
    state = state_of(run)
    failed = state is RunState.FAILED
    cause = told.get("error") or (attempts[-1].error if attempts else None) or error
    return RunRecord(
        id=run.id,
        job=job,
        data=about["data"],
        transitions=_transitions(run, state, submitted, began=not told),
        points=tuple(_of_last_attempt(points, attempts, result)),
        files=tuple(file for file in files if file != MANIFEST_FILE and not file.startswith(f"{JOB_FOLDER}/")),
        tags={key: value for key, value in {**job.tags, **run.tags}.items() if key != NOTE_TAG},
        note=run.tags.get(NOTE_TAG, ""),
        error=cause if failed else None,
        traceback=(told.get("traceback") or log or None) if failed else None,
        attempts=attempts,
        url=url,
        versions=result.versions if result else {},
        provenance=provenance,
    )


def _transitions(run: StoredRun, state: RunState, submitted: datetime, *, began: bool) -> tuple[Transition, ...]:
    """Return the states that the run has passed for certain, by the service's clock; never backwards."""
    created = run.created_at or submitted
    path = [Transition(RunState.QUEUED, min(submitted, created))]
    start, end = run.started_at, run.ended_at
    if start and began and state not in {RunState.QUEUED, RunState.PREPARING}:
        path.append(Transition(RunState.RUNNING, max(start, path[-1].at)))
    if path[-1].state is not state:
        at = (end if state.is_terminal else None) or path[-1].at
        path.append(Transition(state, max(at, path[-1].at)))
    return tuple(path)


def _attempts(properties: Mapping[str, str], source: str) -> tuple[Attempt, ...]:
    found: list[Attempt] = []
    while text := unpack_text(f"{PROPERTIES[4]}{len(found) + 1}", properties, source):
        found.append(from_json(text, Attempt, source))
    return tuple(found)


def _of_last_attempt(
    points: Sequence[MetricPoint], attempts: Sequence[Attempt], result: Result | None
) -> list[MetricPoint]:
    """Return the points of the last attempt: Azure keeps those of earlier ones as well."""
    if not attempts:
        return list(points)
    if result is None:  # another attempt is running, or was canceled
        return [point for point in points if point.time > attempts[-1].ended_at]
    return [point for point in points if len(attempts) == 1 or point.time >= attempts[-1].started_at]
