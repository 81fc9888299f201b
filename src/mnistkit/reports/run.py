"""The report of one run."""

from __future__ import annotations

import math

import numpy as np

from mnistkit.data.dataset import Dataset
from mnistkit.evaluation.scores import Evaluation
from mnistkit.jobs.environment import library_versions
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.reports import page
from mnistkit.reports.data import Findings, Missing, find
from mnistkit.reports.images import samples
from mnistkit.reports.page import Section, Tile
from mnistkit.reports.reproduce import reproduction
from mnistkit.reports.results import interval, misclassified, results, wrong
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.run import Run
from mnistkit.runs.views import attempt_rows, job_text, state_html, timeline_html
from mnistkit.utils.clock import utc_now
from mnistkit.utils.markup import Markup, link
from mnistkit.utils.redaction import redacted, redacted_arguments
from mnistkit.utils.text import duration, local_time

__all__ = ["footer", "headline", "run_report", "run_sections"]

_SAMPLES = 30
_MOST_FILES = 200
_TRACEBACK = 20_000


def run_report(run: Run, dataset: Dataset | None = None) -> str:
    """All that is known of a run, as a page of HTML that stands alone.

    Its model is loaded, as far as that is safe, and asked for every test image again, which finds the misclassified
    ones. What looks like a secret is masked. A run that has not ended is shown as of its last look.

    Args:
        run: Of any backend.
        dataset: Its data, if it is at hand; else it is loaded, and fetched if need be.
    """
    findings = find(run, dataset)
    record = run.record
    lead = [_lead(record), page.tiles(headline(record, findings))]
    if record.state is not RunState.COMPLETED:
        lead.append(page.note(f"The run is {record.state}{f': {redacted(record.error)}' if record.error else '.'}"))
    return page.document(f"Run {record.id}", lead, run_sections(record, findings), footer())


def run_sections(record: RunRecord, findings: Findings) -> list[Section]:
    """What a report says of a run, below its headline."""
    return [
        Section("What was run", _what(record, findings)),
        Section("Data", _data(record, findings)),
        Section("Results", results(record, findings)),
        Section("Misclassified images", misclassified(findings)),
        Section("Time line", _timeline(record)),
        Section("Environment", _environment(record)),
        Section("How to reproduce", reproduction(record)),
    ]


def headline(record: RunRecord, findings: Findings) -> list[Tile]:
    """The numbers to be seen first."""
    found = []
    evaluation = findings.evaluation
    if isinstance(evaluation, Evaluation):
        found = [
            Tile("Test accuracy", f"{evaluation.accuracy:.2%}", f"95% interval {interval(evaluation)}"),
            Tile("Wrong answers", f"{wrong(evaluation):,}", f"of {evaluation.n:,} test images"),
        ]
    elif "accuracy" in record.metrics:
        found = [Tile("Accuracy", f"{record.metrics['accuracy']:.2%}", "as the run logged it")]
    started, ended = record.started_at, record.finished_at
    if started and ended:
        took, fitting = (ended - started).total_seconds(), record.metrics.get("training seconds", math.nan)
        found.append(Tile("Time", duration(took), f"{duration(fitting)} of it fitting" if 0 <= fitting <= took else ""))
    if isinstance(findings.dataset, Dataset):
        n = len(findings.dataset.train)
        limit = record.job.limit if isinstance(record.job, TrainingJob) else None
        found.append(Tile("Training images", f"{min(n, limit or n):,}", f"of {n:,}" if limit and limit < n else ""))
    return found


def footer() -> str:
    """Who wrote the report, and when."""
    return f"Written by mnistkit {library_versions().get('mnistkit', '')} on {local_time(utc_now())}. It loads nothing."


def _lead(record: RunRecord) -> Markup:
    experiment = page.escape(record.experiment)
    when = page.escape(local_time(record.created_at))
    return Markup(f"<p>{state_html(record.state)} &middot; experiment {experiment} &middot; submitted {when}</p>")


def _what(record: RunRecord, findings: Findings) -> list[object]:
    job = record.job
    shared = {
        "Tags": "\n".join(f"{key}={redacted(value)}" for key, value in record.tags.items()),
        "Time limit": None if job.timeout is None else f"{duration(job.timeout)} an attempt",
        "Attempts": f"up to {job.retries + 1}" if job.retries else None,
        "Kept in": link(redacted(record.url)),
        "Error": redacted(record.error or ""),
    }
    attempts = attempt_rows(record)
    traceback = redacted(record.traceback or "").strip()[-_TRACEBACK:]
    has_more = findings.log and findings.log.strip() != traceback  # a script's traceback is the end of its log
    return [
        page.facts({**_job(job), "Data": record.data, **shared}),
        page.table(("attempt#", "ended by", "took#", "process", "error"), attempts, caption="Attempts"),
        page.subheading("Traceback") if traceback else "",
        page.preformatted(traceback, "Traceback"),
        *([page.subheading("End of its log"), page.preformatted(findings.log, "End of the log")] if has_more else []),
    ]


def _job(job: TrainingJob | ScriptJob) -> dict[str, object]:
    if isinstance(job, TrainingJob):
        return {
            "Classifier": job_text(job),
            "Class": job.model.type,
            "Seed": str(job.seed),
            "Training images": "all" if job.limit is None else f"at most {job.limit:,}, each class in proportion",
            "Model's format": job.model_format,
        }
    needed = job.environment
    return {
        "Script": job.entry_script,
        "Folder": job.source_directory,
        "Arguments": " ".join(redacted_arguments(job.arguments)),
        "Environment": needed.name if needed else None,
        "Variables": ", ".join(needed.variables) if needed else None,
    }


def _data(record: RunRecord, findings: Findings) -> list[object]:
    dataset = findings.dataset
    if isinstance(dataset, Missing):
        return [page.missing(f"the data {record.data}", dataset.why)]
    h, w = dataset.train.images.shape[1:]
    names = dataset.class_names
    train, test = (np.bincount(split.labels, minlength=len(names)) for split in (dataset.train, dataset.test))
    rows = [
        (name, f"{a:,}", f"{a / train.sum():.1%}", f"{b:,}", f"{b / test.sum():.1%}")
        for name, a, b in zip(names, train.tolist(), test.tolist(), strict=True)
    ]
    classes = page.table(
        ("class", "to train on#", "share#", "to test on#", "share#"), rows, caption="Images of each class"
    )
    return [
        page.facts({
            "Dataset": dataset.name,
            "Version": dataset.version,
            "Loads by": record.data,
            "Images": f"{len(dataset.train):,} to train on, {len(dataset.test):,} to test on",
            "Size": f"{h} × {w} pixels, 8 bit grey",  # noqa: RUF001 - the sign for sizes
            "Classes": str(len(names)),
            "SHA-256": dataset.sha256,
        }),
        page.note("The data has changed since the run: what is shown here is not what it was trained and judged on.")
        if findings.data_changed
        else "",
        page.subheading("Samples to train on"),
        samples(dataset, _SAMPLES),
        page.unfolded(f"How many of each of the {len(names)} classes", classes),
    ]  # fmt: skip


def _timeline(record: RunRecord) -> list[object]:
    changes = [(str(each.state), local_time(each.at)) for each in record.transitions]
    return [timeline_html(record), page.table(("state", "entered"), changes, caption="When it entered each state")]


def _environment(record: RunRecord) -> list[object]:
    origin = record.provenance
    submitted = dict(origin.versions) if origin else {}
    versions = dict(record.versions) or submitted
    differ = {name: submitted[name] for name in submitted if versions.get(name, submitted[name]) != submitted[name]}
    changes = {None: "", True: ", with changes that aren't in it", False: ""}[origin.is_dirty] if origin else ""
    files = record.files[:_MOST_FILES]
    more = [f"... and {len(record.files) - len(files):,} more"] if len(record.files) > len(files) else []
    known = record.job.fingerprint
    return [
        page.facts({
            "Platform": origin.platform if origin else None,
            "Commit": f"{origin.commit}{changes}" if origin and origin.commit else None,
            "Fingerprint": known.digest if known else None,
        }),
        page.missing("where it was submitted from", "That wasn't kept with the run.") if origin is None else "",
        page.table(("library", "version"), sorted(versions.items()), caption="Versions that ran it"),
        page.missing("versions", "The run hasn't noted any.") if not versions else "",
        page.note(f"It was submitted with {', '.join(f'{k} {v}' for k, v in differ.items())}.") if differ else "",
        page.unfolded(f"Files: {len(record.files):,}", page.listed([*files, *more])) if files else "",
    ]  # fmt: skip
