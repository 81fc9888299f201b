"""Runs in MLflow: each attempt at a run is an MLflow run, which is found again by its tags."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from mnistkit.errors import MnistkitError, NotFoundError
from mnistkit.jobs.job import Job, ScriptJob, TrackedJob
from mnistkit.jobs.provenance import Provenance
from mnistkit.mlflow._sdk import calls, client, create_experiment, pages, retried, sdk, set_ended, set_status, turn
from mnistkit.mlflow.address import TRACKING_VARIABLE, Address
from mnistkit.mlflow.values import (
    RUN_TAG,
    from_milliseconds,
    log_values,
    metric_name,
    metric_points,
    milliseconds,
    params_of,
    tags_of,
)
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.record import MetricPoint, RunRecord, RunState
from mnistkit.utils.redaction import public_text, redacted_arguments
from mnistkit.utils.serialization import to_json

__all__ = ["JOB_TAG", "RUN_VARIABLE", "RunMirror", "own_run", "script_points", "script_variables"]

RUN_VARIABLE: Final = "MLFLOW_RUN_ID"
"""The environment variable by which plain ``mlflow`` in a script finds the run that it logs to."""

JOB_TAG: Final = "mnistkit.job"
"""The tag that holds the job as JSON, if it is short enough."""

_ATTEMPT_TAG = "mnistkit.attempt"
_SWEEP_TAG = "mnistkit.sweep"
_COMPLETE_TAG = "mnistkit.complete"
_NAME_TAG = "mlflow.runName"
_NOTE_TAG = "mlflow.note.content"
_PARENT_TAG = "mlflow.parentRunId"
_MAX_DIGEST_CHARS = 36
_MAX_TAG_CHARS = 8000
_STATUS = {
    RunState.QUEUED: "SCHEDULED",
    RunState.PREPARING: "SCHEDULED",
    RunState.COMPLETED: "FINISHED",
    RunState.FAILED: "FAILED",
    RunState.CANCELED: "KILLED",
}


class RunMirror:
    """Writes runs to MLflow. Writing a run again adds what is missing there, and nothing twice.

    A run is a run of MLflow's with the tag ``mnistkit.run``, in the experiment of the same name. A retried run has one
    for each attempt. Runs of a sweep have a common parent.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._written: dict[tuple[str, int], tuple[str, int, str]] = {}
        """Of attempts that were written by this mirror: MLflow's id, the number of points, the status."""

    def write(self, backend: ComputeBackend, record: RunRecord) -> str:
        """Bring MLflow's copy of a run up to date, and return MLflow's id of its last attempt.

        Args:
            backend: Has the run's files.
            record: The present record.

        Raises:
            ServiceError: MLflow can't be reached, or refuses.
            StorageError: The database file can't be written.
        """
        with calls(self._address):
            own, number = own_run(record.job), _attempt(record)
            for earlier in range(1, 1 if own else number):
                self._end_earlier(record, earlier)
            key = (record.id, number)
            run_id, n_points, status = self._written.get(key) or self._opened(record, number, own)
            if status == _COMPLETE_TAG:
                return run_id
            log_values(self._address, run_id, metrics=metric_points(record.points[n_points:]))
            present = _STATUS.get(record.state, "RUNNING")
            if record.state.is_terminal:
                self._finish(backend, record, run_id)
                status = _COMPLETE_TAG
            elif present != status:
                set_status(self._address, run_id, present)
                status = present
            self._written[key] = run_id, len(record.points), status
            return run_id

    def _opened(self, record: RunRecord, number: int, own: str | None = None) -> tuple[str, int, str]:
        """Return an attempt as MLflow has it, made if need be, with all that is known of it from the start."""
        found = client(self._address).get_run(own) if own else None
        if found is None:
            tags = {RUN_TAG: record.id, _ATTEMPT_TAG: str(number)}
            started = record.attempts[number - 2].ended_at if number > 1 else record.created_at
            name = record.id if number == 1 else f"{record.id} attempt {number}"
            found = _found_or_made(self._address, record.experiment, tags, name, milliseconds(started))
        run_id = str(found.info.run_id)
        if found.data.tags.get(_COMPLETE_TAG):
            return run_id, len(record.points), _COMPLETE_TAG
        tags = {
            RUN_TAG: record.id,
            _ATTEMPT_TAG: str(number),
            **({_NAME_TAG: record.id} if own else {}),
            **_tags(record),
        }
        if sweep := record.job.tags.get("sweep"):
            parent = _found_or_made(self._address, record.experiment, {_SWEEP_TAG: sweep}, f"sweep {sweep}"[:250])
            tags[_PARENT_TAG] = str(parent.info.run_id)
            set_ended(self._address, tags[_PARENT_TAG], "FINISHED")
        log_values(self._address, run_id, params=params_of(_parameters(record.job)), tags=tags_of(tags))
        if record.job.fingerprint is not None:
            _log_dataset(self._address, run_id, record)
        return run_id, 0, ""

    def _end_earlier(self, record: RunRecord, number: int) -> None:
        """Write the end of an attempt that another one followed."""
        run_id, _, status = self._written.get((record.id, number)) or self._opened(record, number)
        if status == _COMPLETE_TAG:
            return
        attempt = record.attempts[number - 1]
        tags = {"mnistkit.error": public_text(attempt.error or ""), _COMPLETE_TAG: "true"}
        log_values(self._address, run_id, tags=tags_of(tags))
        set_ended(self._address, run_id, "FAILED", milliseconds(attempt.ended_at))
        self._written[record.id, number] = run_id, 0, _COMPLETE_TAG

    def _finish(self, backend: ComputeBackend, record: RunRecord, run_id: str) -> None:
        """Write what a finished run left; its last tag says that all of it is there."""
        with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
            for file in record.files:
                with contextlib.suppress(NotFoundError):
                    backend.download(record.id, file, Path(folder) / file.rpartition("/")[0])
            if record.files:
                client(self._address).log_artifacts(run_id, folder)
        ended = record.finished_at
        set_ended(self._address, run_id, _STATUS[record.state], milliseconds(ended) if ended else None)
        tags = {
            **record.tags,
            _NOTE_TAG: record.note,
            "mnistkit.error": public_text(record.error or ""),
            _COMPLETE_TAG: "true",
        }
        log_values(self._address, run_id, tags=tags_of(tags))


def own_run(job: Job) -> str | None:
    """Return the MLflow run that a script was given to log to; None if it has none."""
    variables = job.environment.variables if isinstance(job, ScriptJob) and job.environment else {}
    return variables.get(RUN_VARIABLE)


def script_variables(address: Address, experiment: str) -> dict[str, str]:
    """Make an MLflow run for a script, and return the variables by which plain ``mlflow`` in it finds that run.

    The address is without user and password: what a job is given is kept with its run.
    """
    with calls(address):
        made, found = client(address), create_experiment(address, experiment)
        run = retried(address, lambda: made.create_run(found, run_name="script"))
        set_status(address, run.info.run_id, "SCHEDULED")
    return {TRACKING_VARIABLE: address.shown, RUN_VARIABLE: str(run.info.run_id)}


def script_points(address: Address, record: RunRecord) -> tuple[MetricPoint, ...]:
    """Return the metrics that plain ``mlflow`` in a script logged, in order of time, without those in the record."""
    run_id = own_run(record.job)
    if run_id is None:
        return ()
    # What an earlier attempt logged, and what of it was mirrored, isn't the run's. Clocks of other hosts may differ.
    since = milliseconds(record.attempts[-1].started_at) if len(record.attempts) > 1 else 0
    known = {(metric_name(p.name), p.value, p.step or 0, milliseconds(p.time)) for p in record.points}
    with calls(address):
        made = client(address)
        found = [m for key in made.get_run(run_id).data.metrics for m in made.get_metric_history(run_id, key)]
    found.sort(key=lambda metric: (metric.timestamp, metric.step))
    return tuple(
        MetricPoint(metric.key, float(metric.value), metric.step, from_milliseconds(metric.timestamp))
        for metric in found
        if metric.timestamp >= since and (metric.key, metric.value, metric.step, metric.timestamp) not in known
    )


def _attempt(record: RunRecord) -> int:
    """Return the number of the present attempt, or of the last one."""
    return max(1, len(record.attempts) + (not record.state.is_terminal))


def _found_or_made(
    address: Address, experiment: str, tags: Mapping[str, str], name: str, start: int | None = None
) -> Any:
    """Return the run of an experiment that has these tags, made if there is none.

    Two that make it at the same moment both look again, and keep the one whose id comes first.
    """
    made, place = client(address), create_experiment(address, experiment)
    query = " and ".join(f"tags.`{key}` = '{_quoted(value)}'" for key, value in tags.items())

    def found() -> list[Any]:
        return sorted(pages(made.search_runs, [place], query), key=lambda run: str(run.info.run_id))

    with turn(address):
        if runs := found():
            return runs[0]
        own = retried(address, lambda: made.create_run(place, start_time=start, run_name=name, tags=dict(tags)))
    first = found()[0] if address.file is None else own
    if first.info.run_id != own.info.run_id:
        made.delete_run(own.info.run_id)
    return first


def _quoted(value: str) -> str:
    return value.replace("'", "_")


def _parameters(job: Job) -> dict[str, object]:
    """Return the parameters of a job: of an estimator all of them, those that have their defaults as well."""
    if isinstance(job, TrackedJob):
        return {"name": job.name, "program": job.program}
    if isinstance(job, ScriptJob):
        return {"script": job.entry_script, "arguments": " ".join(redacted_arguments(job.arguments))}
    own = {"model": job.model.type, "seed": job.seed, "limit": job.limit, "model_format": job.model_format}
    try:
        effective = job.model.build().get_params()
    except (MnistkitError, ValueError, TypeError):  # it can't be imported here
        effective = dict(job.model.params)
    return {**effective, **own}


def _tags(record: RunRecord) -> dict[str, str]:
    """Return what is known of a run from its start, MLflow's own tags among it."""
    origin = record.provenance or Provenance()
    tags = {
        **record.tags,
        "mnistkit.data": public_text(record.data),
        "mnistkit.url": record.url,
        "mnistkit.versions": json.dumps(dict(record.versions)),
        "mlflow.source.name": " ".join(origin.command),
        "mlflow.source.type": "LOCAL" if origin.command else "",
        "mlflow.source.git.commit": origin.commit or "",
    }
    job = to_json(_without_variables(record.job)).decode()
    return tags if len(job) > _MAX_TAG_CHARS else {**tags, JOB_TAG: job}


def _without_variables(job: Job) -> Job:
    if not isinstance(job, ScriptJob):
        return attrs.evolve(job, fingerprint=None)
    environment = job.environment and attrs.evolve(job.environment, variables={})
    return attrs.evolve(job, environment=environment, arguments=redacted_arguments(job.arguments), fingerprint=None)


def _log_dataset(address: Address, run_id: str, record: RunRecord) -> None:
    """Log the data as an input of the run, with the digest of its content."""
    kinds = sdk("mlflow.entities")
    assert record.job.fingerprint is not None  # noqa: S101 - the caller checked
    uri = public_text(record.data)
    dataset = kinds.Dataset(
        name=uri[:500],
        digest=record.job.fingerprint.digests["data"][:_MAX_DIGEST_CHARS],
        source_type="mnistkit",
        source=json.dumps({"uri": uri}),
    )
    tags: Sequence[Any] = [kinds.InputTag("mlflow.data.context", "training")]
    retried(address, lambda: client(address).log_inputs(run_id, [kinds.DatasetInput(dataset, tags)]))
