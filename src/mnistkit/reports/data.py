"""The data of a report: each part of a run, or why it is missing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from attrs import evolve, frozen

from mnistkit import plugins
from mnistkit.data.dataset import Dataset
from mnistkit.data.source import SupportsDigests
from mnistkit.errors import DataFormatError, MnistkitError
from mnistkit.evaluation.results import run_dataset, run_evaluation, run_model
from mnistkit.evaluation.scores import EVALUATION_FILE, Evaluation, SplitPredictions, predict
from mnistkit.jobs.job import ScriptJob, TrackedJob
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.run import Run
from mnistkit.utils.redaction import redacted, redacted_arguments

__all__ = ["Missing", "RunData", "gather", "masked"]

_MAX_PICTURES = 6
_MAX_PICTURE_BYTES = 400_000
_MAX_LOG_LINES = 60
_MAX_LOG_CHARS = 20_000
_LOG_TAIL_CHARS = 200_000
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

T = TypeVar("T")


@frozen
class Missing:
    """Something that a report can't show.

    Attributes:
        why: In a sentence or two.
    """

    why: str


@frozen(kw_only=True)
class RunData:
    """All that a report shows of a run.

    Attributes:
        record: The run's record, without secrets.
        evaluation: The evaluation that the run itself wrote.
        dataset: Its data, as it is now.
        predictions: What its model predicts for each test image.
        data_changed: True if the data isn't what it was when the run was submitted; None if that isn't known.
        pictures: PNG files that it left, by name: a few, small ones.
        log: The end of its log, without secrets, if it failed or was canceled; else empty.
    """

    record: RunRecord
    evaluation: Evaluation | Missing
    dataset: Dataset | Missing
    predictions: SplitPredictions | Missing
    data_changed: bool | None
    pictures: dict[str, bytes]
    log: str


def gather(run: Run, dataset: Dataset | None = None) -> RunData:
    """Collect all that is left of a run. Nothing is unpickled, and nothing that is gone is an error.

    Args:
        run: As of its last poll.
        dataset: Its data, if it is at hand; else it is loaded, and fetched if need be.
    """
    evaluation = _or_missing(lambda: _checked(run_evaluation(run)))
    data = _or_missing(lambda: run_dataset(run) if dataset is None else dataset)
    ended_badly = run.state in {RunState.FAILED, RunState.CANCELED}
    return RunData(
        record=masked(run.record),
        evaluation=_of_a_script(run, evaluation),
        dataset=data,
        predictions=_predictions(run, data),
        data_changed=_data_changed(run),
        pictures=_pictures(run),
        log=_log(run) if ended_badly else "",
    )


def masked(record: RunRecord) -> RunRecord:
    """Return the record without what looks like a secret, in arguments, tags, note, errors, tracebacks, addresses."""
    job = record.job
    if isinstance(job, ScriptJob):
        job = evolve(job, arguments=redacted_arguments(job.arguments))
    return evolve(
        record,
        job=job,
        data=redacted(record.data),
        tags={key: redacted(value) for key, value in record.tags.items()},
        note=redacted(record.note),
        error=redacted(record.error) if record.error else record.error,
        traceback=redacted(record.traceback) if record.traceback else record.traceback,
        attempts=tuple(evolve(each, error=each.error and redacted(each.error)) for each in record.attempts),
        url=redacted(record.url),
    )


def _or_missing(look: Callable[[], T]) -> T | Missing:
    try:
        return look()
    except MnistkitError as error:
        return Missing(str(error))
    except Exception as error:  # noqa: BLE001 - a report shows what there is, whatever a plug-in or a model raises
        return Missing(f"{type(error).__name__}: {error}")


def _checked(evaluation: Evaluation) -> Evaluation:
    """Return the evaluation if it can be true: a run's script may have written anything into the file."""
    n, classes = len(evaluation.classes), evaluation.classes
    shares = [evaluation.accuracy, *(share for each in classes for share in (each.recall, each.precision, each.f1))]
    adds_up = (
        n > 0
        and [len(row) for row in evaluation.confusion] == [n] * n
        and all(0 <= share <= 1 for share in shares)
        and min(0, *map(min, evaluation.confusion)) == 0
        and [each.support for each in classes] == [sum(row) for row in evaluation.confusion]
        and sum(each.support for each in classes) == evaluation.n > 0
    )
    if not adds_up:
        raise DataFormatError("outputs/evaluation.json doesn't add up: its counts and shares contradict each other.")
    return evaluation


def _of_a_script(run: Run, evaluation: Evaluation | Missing) -> Evaluation | Missing:
    has_none = f"outputs/{EVALUATION_FILE}" not in run.files
    if isinstance(evaluation, Missing) and has_none and isinstance(run.record.job, ScriptJob):
        return Missing(
            "The run was a script, which left no outputs/evaluation.json: only the metrics that it logged are known."
        )
    if isinstance(evaluation, Missing) and has_none and isinstance(run.record.job, TrackedJob):
        return Missing("The program evaluated no model with run.evaluate: only the metrics that it logged are known.")
    if isinstance(evaluation, Missing) and run.state is not RunState.COMPLETED:
        return Missing(f"The run is {run.state}: it evaluated no model.")
    return evaluation


def _predictions(run: Run, dataset: Dataset | Missing) -> SplitPredictions | Missing:
    if isinstance(dataset, Missing):
        return Missing("They need the data, which is missing.")
    if run.state is not RunState.COMPLETED:
        return Missing(f"They need a model, and the run is {run.state}.")
    return _or_missing(lambda: _predicted(run, dataset))


def _predicted(run: Run, dataset: Dataset) -> SplitPredictions:
    found = predict(run_model(run), dataset.test)
    if not np.isin(found.predicted, np.arange(len(dataset.class_names))).all():
        raise DataFormatError("The model predicts classes that the data doesn't have.")
    return found


def _data_changed(run: Run) -> bool | None:
    known = run.record.job.fingerprint
    if known is None or not known.data:
        return None

    def compare() -> bool | None:
        source: Any = plugins.data_source(run.record.data)
        return dict(source.digests()) != dict(known.data) if isinstance(source, SupportsDigests) else None

    changed = _or_missing(compare)
    return None if isinstance(changed, Missing) else changed


def _pictures(run: Run) -> dict[str, bytes]:
    """Return the first few PNG files among the outputs that are small enough to be part of a page."""
    found: dict[str, bytes] = {}
    names = [file for file in run.files if file.startswith("outputs/") and file.lower().endswith(".png")]
    for name in names[: 2 * _MAX_PICTURES]:
        data = _or_missing(lambda name=name: _downloaded(run, name))  # type: ignore[misc]
        if isinstance(data, bytes) and data.startswith(_PNG_SIGNATURE) and len(found) < _MAX_PICTURES:
            found[name] = data
    return found


def _downloaded(run: Run, file: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        path = Path(run.download(file, folder))
        return path.read_bytes() if path.stat().st_size <= _MAX_PICTURE_BYTES else b""


def _log(run: Run) -> str:
    text = _or_missing(run.logs)
    if isinstance(text, Missing):
        return ""
    return "\n".join(redacted(text[-_LOG_TAIL_CHARS:]).splitlines()[-_MAX_LOG_LINES:])[-_MAX_LOG_CHARS:]
