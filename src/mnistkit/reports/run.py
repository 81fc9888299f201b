"""The report of one run."""

from __future__ import annotations

import math

from attrs import evolve

from mnistkit.data.dataset import Dataset
from mnistkit.evaluation.scores import Evaluation
from mnistkit.jobs.job import TrainingJob
from mnistkit.reports.data import Missing, RunData, gather
from mnistkit.reports.images import has_long_names, sample_images
from mnistkit.reports.page import Section, Tile, render_page
from mnistkit.reports.reproduce import reproduce_section
from mnistkit.reports.results import misclassified_section, n_wrong, results_section
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.run import Run
from mnistkit.utils.summary import Summary, SummaryTable, Text
from mnistkit.utils.text import duration, local_time

__all__ = ["headline", "run_report", "run_sections"]

_SAMPLES = 30
_MAX_FILES = 200


def run_report(run: Run, dataset: Dataset | None = None) -> str:
    """Return all that is known of a run as a page of HTML that stands alone.

    Its model is loaded, as far as that is safe, and predicts every test image again, which finds the misclassified
    ones. What looks like a secret is masked. A run that hasn't finished is shown as of its last poll.

    Args:
        run: Of any backend.
        dataset: Its data, if it is at hand; else it is loaded, and fetched if need be.

    Raises:
        MissingExtraError: Jinja isn't installed.
    """
    data = gather(run, dataset)
    record = data.record
    warning = ""
    if record.state is not RunState.COMPLETED:
        warning = f"The run is {record.state}{f': {record.error}' if record.error else '.'}"
    values = {
        "state": str(record.state),
        "experiment": record.experiment,
        "created": local_time(record.created_at),
        "tiles": headline(data),
        "warning": warning,
    }
    return render_page(f"Run {record.id}", "run_lead.html", run_sections(data), values)


def run_sections(data: RunData) -> list[Section]:
    """Return what a report shows of a run, below its headline."""
    record = data.record
    summary = record.describe()
    return [
        _job(summary, data.log),
        _data(data),
        results_section(data),
        misclassified_section(data),
        Section("Time line", "timeline.html", {"spans": summary.timeline, "states": summary.table("States")}),
        _environment(record, summary),
        reproduce_section(record),
    ]


def headline(data: RunData) -> list[Tile]:
    """Return the numbers to be seen first."""
    record, evaluation = data.record, data.evaluation
    found = []
    if isinstance(evaluation, Evaluation):
        low, high = evaluation.interval()
        found = [
            Tile("Test accuracy", f"{evaluation.accuracy:.2%}", f"95% interval {low:.2%} to {high:.2%}"),
            Tile("Wrong predictions", f"{n_wrong(evaluation):,}", f"of {evaluation.n:,} test images"),
        ]
    elif "accuracy" in record.metrics:
        found = [Tile("Accuracy", f"{record.metrics['accuracy']:.2%}", "as the run logged it")]
    started, ended = record.started_at, record.finished_at
    if started and ended:
        took, fitting = (ended - started).total_seconds(), record.metrics.get("training seconds", math.nan)
        found.append(Tile("Time", duration(took), f"{duration(fitting)} of it fitting" if 0 <= fitting <= took else ""))
    if isinstance(data.dataset, Dataset):
        n = len(data.dataset.train)
        limit = record.job.limit if isinstance(record.job, TrainingJob) else None
        found.append(Tile("Training images", f"{min(n, limit or n):,}", f"of {n:,}" if limit and limit < n else ""))
    return found


def _job(summary: Summary, log: str) -> Section:
    traceback = next((text for text in summary.texts if text.title == "Traceback"), None)
    is_new = log.strip() != (traceback.text if traceback else "")  # a script's traceback is the end of its log
    texts = [traceback] if traceback else []
    texts += [Text(title="End of its log", text=log)] if log and is_new else []
    return Section("Job", "job.html", {"facts": summary.facts, "attempts": summary.table("Attempts"), "texts": texts})


def _data(data: RunData) -> Section:
    dataset = data.dataset
    if isinstance(dataset, Missing):
        return Section("Data", "data.html", {"dataset": dataset, "uri": data.record.data})
    summary = dataset.describe()
    values = {
        "dataset": summary,
        "facts": {"Dataset": dataset.name, **summary.facts, "Loads by": data.record.data, "SHA-256": dataset.sha256},
        "classes": _with_shares(summary.table("Images of each class")),
        "has_changed": data.data_changed,
        "samples": sample_images(dataset, _SAMPLES),
        "is_wide": has_long_names(dataset),
    }
    return Section("Data", "data.html", values)


def _with_shares(classes: SummaryTable) -> SummaryTable:
    """Return the numbers of images with a share after each."""
    rows = [(name, int(train or 0), int(test or 0)) for name, train, test in classes.rows]
    n_train, n_test = max(sum(train for _, train, _ in rows), 1), max(sum(test for *_, test in rows), 1)
    return evolve(
        classes,
        columns=("class", "to train on#", "share#", "to test on#", "share#"),
        rows=[
            (name, f"{train:,}", f"{train / n_train:.1%}", f"{test:,}", f"{test / n_test:.1%}")
            for name, train, test in rows
        ],
    )


def _environment(record: RunRecord, summary: Summary) -> Section:
    origin, known = record.provenance, record.job.fingerprint
    submitted = dict(origin.versions) if origin else {}
    versions = dict(record.versions) or submitted
    differ = {name: submitted[name] for name in submitted if versions.get(name, submitted[name]) != submitted[name]}
    facts = {name: value for name, value in summary.table("Submitted from").rows}  # noqa: C416 - for mypy
    more = [f"... and {len(record.files) - _MAX_FILES:,} more"] if len(record.files) > _MAX_FILES else []
    values = {
        "has_origin": origin is not None,
        "facts": {
            "Platform": facts.get("platform"),
            "Commit": facts.get("commit"),
            "Fingerprint": known.digest if known else None,
        },
        "versions": SummaryTable(
            title="Versions that ran it", columns=("library", "version"), rows=sorted(versions.items())
        ),
        "differences": ", ".join(f"{name} {version}" for name, version in differ.items()),
        "files_title": f"Files: {len(record.files):,}",
        "files": [*record.files[:_MAX_FILES], *more],
    }
    return Section("Environment", "environment.html", values)
