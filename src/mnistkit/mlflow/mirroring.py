"""Runs copied to MLflow afterwards, and runs of MLflow's read as records."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from mnistkit.errors import InvalidNameError, MnistkitError, UsageError
from mnistkit.jobs.job import Job, ScriptJob
from mnistkit.jobs.provenance import Provenance
from mnistkit.mlflow._sdk import calls, client, download_artifacts, pages
from mnistkit.mlflow.address import TRACKING_VARIABLE, Address
from mnistkit.mlflow.runs import JOB_TAG, RunMirror, script_points
from mnistkit.mlflow.values import RUN_TAG, from_milliseconds
from mnistkit.runs.backend import ComputeBackend, SupportsPoints
from mnistkit.runs.folder.importing import keep_record
from mnistkit.runs.folder.scripts import MAX_FILES
from mnistkit.runs.record import MetricPoint, RunRecord, RunState, Transition
from mnistkit.utils.folders import regular_files
from mnistkit.utils.names import check_file, check_name
from mnistkit.utils.serialization import from_json

__all__ = ["ImportedRuns", "import_runs", "mirror_runs"]

_log = logging.getLogger(__name__)

_STATES = {"FINISHED": RunState.COMPLETED, "FAILED": RunState.FAILED, "KILLED": RunState.CANCELED}
_OTHER_PATTERN = re.compile(r"[^A-Za-z0-9_-]+")


def mirror_runs(
    backend: ComputeBackend,
    uri: str | None,
    records: Iterable[RunRecord] | None = None,
    *,
    home: str | os.PathLike[str] = ".mnistkit",
) -> dict[str, str]:
    """Write runs to MLflow, such as old and detached ones; those that are there are completed, and never doubled.

    Metrics that plain ``mlflow`` in a script logged become part of the run's own, if the backend is a `SupportsPoints`.

    Args:
        backend: Where the runs are.
        uri: As for `MlflowRegistry`; None for ``MLFLOW_TRACKING_URI``, else the file below ``home``.
        records: The runs; None for all.
        home: The folder for runs and models.

    Returns:
        MLflow's id of each run, by the run's.

    Raises:
        ServiceError: The server can't be reached, or refuses.
    """
    address = Address.of_home(Path(home), uri, TRACKING_VARIABLE)
    mirror, written = RunMirror(address), {}
    for record in reversed(tuple(backend.runs() if records is None else records)):
        written[record.id] = mirror.write(backend, _with_points(backend, address, record))
    return written


@frozen(kw_only=True)
class ImportedRuns:
    """The result of an import.

    Attributes:
        imported: The ids of the runs that are here now, and weren't.
        known: The number of runs that were here already.
        unfinished: The number of runs that haven't finished there.
    """

    imported: tuple[str, ...]
    known: int
    unfinished: int


def import_runs(
    uri: str | None, home: str | os.PathLike[str], *, experiment: str | None = None, files: bool = True
) -> ImportedRuns:
    """Copy finished runs of MLflow's into ``home``, as records that can be listed, compared and reported.

    Runs that mnistkit mirrored there come back with their job; others as a script with its parameters as arguments.
    Those that are here already are left as they are, so that it can be repeated.

    Args:
        uri: As for `MlflowRegistry`; None for ``MLFLOW_TRACKING_URI``.
        home: The folder for runs and models.
        experiment: Only runs of this experiment of MLflow's; None for all.
        files: Whether to copy their artifacts as well.

    Raises:
        UsageError: There is no such experiment.
        ServiceError: The server can't be reached, or refuses.
        StorageError: ``home`` can't be written.
    """
    address = Address.of_home(Path(home), uri, TRACKING_VARIABLE)
    if not address.exists():
        raise UsageError(f"There is no {address.shown}: name the file, or the server, that holds the runs.")
    root = Path(home).absolute() / "runs"
    imported: list[str] = []
    known = unfinished = 0
    with calls(address):
        for place, run in _last_attempts(address, experiment):
            run_id = _run_id(run)
            if run.info.status not in _STATES or run.info.end_time is None:
                unfinished += 1
            elif (root / run_id).exists():
                known += 1
            else:
                with _artifacts(address, run if files else None) as found:
                    is_new = keep_record(root, _record(address, place, run), found)
                imported += [run_id] if is_new else []
                known += not is_new
    return ImportedRuns(imported=tuple(imported), known=known, unfinished=unfinished)


def _with_points(backend: ComputeBackend, address: Address, record: RunRecord) -> RunRecord:
    if not (record.state.is_terminal and isinstance(backend, SupportsPoints)):
        return record
    points = script_points(address, record)
    if not points:
        return record
    backend.add_points(record.id, points)
    return backend.get(record.id)


def _last_attempts(address: Address, experiment: str | None) -> Iterator[tuple[str, Any]]:
    """Yield the experiment's name and the run, oldest first; of a retried run that of its last attempt."""
    made = client(address)
    experiments = {each.experiment_id: each.name for each in pages(made.search_experiments)}
    chosen = [key for key, name in experiments.items() if experiment in {None, name}]
    if not chosen:
        raise UsageError(
            f"There is no experiment {experiment!r} in {address.shown}; there are: {', '.join(experiments.values())}."
        )
    last: dict[str, Any] = {}
    for run in pages(made.search_runs, chosen, order_by=["attributes.start_time ASC"]):
        if "mnistkit.sweep" not in run.data.tags and "mnistkit.model" not in run.data.tags:
            last[_run_id(run)] = run
    for run in last.values():
        yield experiments[run.info.experiment_id], run


def _run_id(run: Any) -> str:
    """Return the id that a run has, or gets, here."""
    with contextlib.suppress(InvalidNameError):
        return check_name(run.data.tags[RUN_TAG], "run id") if RUN_TAG in run.data.tags else f"mlflow-{run.info.run_id}"
    return f"mlflow-{run.info.run_id}"


def _record(address: Address, experiment: str, run: Any) -> RunRecord:
    tags, made = run.data.tags, client(address)
    metrics = [m for key in run.data.metrics for m in made.get_metric_history(run.info.run_id, key)]
    metrics.sort(key=lambda metric: (metric.timestamp, metric.step))
    started, ended = from_milliseconds(run.info.start_time), from_milliseconds(run.info.end_time)
    return RunRecord(
        id=_run_id(run),
        job=_job(address, experiment, run),
        data=tags.get("mnistkit.data", address.shown),
        transitions=(
            Transition(RunState.QUEUED, started),
            Transition(RunState.RUNNING, started),
            Transition(_STATES[run.info.status], max(started, ended)),
        ),
        points=tuple(MetricPoint(m.key, float(m.value), m.step, from_milliseconds(m.timestamp)) for m in metrics),
        error=tags.get("mnistkit.error"),
        provenance=Provenance(
            commit=tags.get("mlflow.source.git.commit"), command=tuple(tags.get("mlflow.source.name", "").split())
        ),
    )


def _job(address: Address, experiment: str, run: Any) -> Job:
    """Return the job of a run that mnistkit mirrored; of another one a script with its parameters as arguments."""
    tags: Mapping[str, str] = run.data.tags
    if JOB_TAG in tags:
        try:
            job: Job = from_json(tags[JOB_TAG], Job, f"the tag {JOB_TAG} of run {run.info.run_id}")
        except MnistkitError as error:
            _log.warning("Run %s comes without its job: %s", run.info.run_id, error)
        else:
            return job
    name = Path(tags.get("mlflow.source.name", "") or "run").name
    try:
        check_file(name)
    except InvalidNameError:
        name = "run"
    place = _OTHER_PATTERN.sub("-", experiment).strip("-_")[:64].strip("-_") or "imported"
    kept = {key: value for key, value in tags.items() if not key.startswith("mlflow.")}
    kept |= {"mlflow.run": run.info.run_id, "mlflow.name": run.info.run_name or ""}
    arguments = [f"--{key}={value}" for key, value in sorted(run.data.params.items())]
    try:
        return ScriptJob(address.shown, name, arguments, experiment=place, tags=kept)
    except UsageError:  # a device's name
        return ScriptJob(address.shown, name, arguments, experiment="imported", tags=kept)


@contextlib.contextmanager
def _artifacts(address: Address, run: Any | None) -> Iterator[dict[str, Path]]:
    """Yield the files of a run by their names here; none of a run that is None."""
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        if run is not None:
            try:
                download_artifacts(address, run.info.artifact_uri, Path(folder))
            except Exception as error:  # noqa: BLE001 - a run whose files are lost has its metrics still
                _log.warning("Run %s comes without its files: %s", run.info.run_id, error)
        found: dict[str, Path] = {}
        for name, path in regular_files(Path(folder)):
            mine = name if name.startswith(("outputs/", "logs/")) else f"outputs/{name}"
            try:
                check_file(mine)
            except InvalidNameError as error:
                _log.warning("Left out a file of a run of MLflow's: %s", error)
                continue
            if len(found) < MAX_FILES:
                found[mine] = path
        yield found
