"""What notebooks show of a run, a dataset and a model: HTML, made when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mnistkit.jobs.job import Job, TrainingJob
from mnistkit.utils import markup
from mnistkit.utils.markup import Markup, Segment
from mnistkit.utils.text import duration, local_time, number

if TYPE_CHECKING:  # these values ask for their views
    from mnistkit.data.dataset import Dataset
    from mnistkit.registry.version import ModelVersion
    from mnistkit.runs.record import RunRecord, RunState

__all__ = [
    "attempt_rows",
    "dataset_html",
    "job_text",
    "metrics_text",
    "model_html",
    "phases_text",
    "run_html",
    "state_html",
    "timeline_html",
]

# Each has a contrast of at least 3:1 on white and on black.
_COLOURS = {
    "Queued": "#8a8a8a",
    "Preparing": "#b7791f",
    "Running": "#3b82c4",
    "Finalizing": "#9a6dd7",
    "CancelRequested": "#d1651f",
    "Completed": "#2e8b57",
    "Failed": "#d6453d",
    "Canceled": "#8a8a8a",
}
_SHOWN = 20
_SIDE = 64
_TRACEBACK = 20_000


def run_html(record: RunRecord, *, log: str = "", footnote: str = "") -> Markup:
    """A run: its state, time line, metrics, attempts and files.

    Args:
        record: Of the run.
        log: The end of its log, to show as well.
        footnote: A line below all else.
    """
    tries = attempt_rows(record)
    return markup.block(
        _title(f"Run {record.id}", state_html(record.state)),
        timeline_html(record),
        markup.facts(
            {
                "Error": record.error,
                "Job": job_text(record.job),
                "Data": record.data,
                "Experiment": record.experiment,
                "Created": local_time(record.created_at),
                "Tags": _pairs(record.tags),
                "Kept in": markup.link(record.url) if record.url else None,
            }
        ),
        _metrics(record.metrics),
        markup.table(("attempt", "ended by", "took", "process", "error"), tries) if tries else "",
        markup.details("Traceback", markup.preformatted((record.traceback or "")[-_TRACEBACK:])),
        _list("Files", record.files),
        markup.details("End of its log", markup.preformatted(log), is_open=True),
        footnote,
        label=f"Run {record.id}",
    )


def model_html(model: ModelVersion) -> Markup:
    """A registered version: where it comes from, what it was measured to do, its files."""
    files = [(name, f"{info.size:,} bytes", info.sha256[:12]) for name, info in sorted(model.files.items())]
    return markup.block(
        _title(f"Model {model.id}"),
        markup.facts(
            {
                "Description": model.description,
                "Registered": local_time(model.created_at),
                "Format": model.format,
                "Run": model.run_id,
                "Tags": _pairs(model.tags),
                "Made with": ", ".join(f"{name} {version}" for name, version in model.versions.items()),
                "Digest": model.digest,
                "Kept in": markup.link(model.location) if model.location else None,
            }
        ),
        _metrics(model.metrics),
        markup.details(f"Files: {len(files)}", markup.table(("file", "size", "sha256"), files)),
        label=f"Model {model.id}",
    )


def dataset_html(dataset: Dataset) -> Markup:
    """A dataset: its sizes, and of each class an image with its name and how many there are to train on."""
    height, width = dataset.train.images.shape[1:]
    names = dataset.class_names
    pictures = "".join(_sample(dataset, label) for label in range(min(len(names), _SHOWN)))
    return markup.block(
        _title(f"Dataset {dataset.name}"),
        markup.facts(
            {
                "Images": f"{len(dataset.train):,} to train on, {len(dataset.test):,} to test on",
                "Size": f"{height} × {width} pixels, 8 bit grey",  # noqa: RUF001 - the sign for sizes
                "Classes": str(len(names)),
                "Version": dataset.version,
                "Loads by": dataset.uri,
            }
        ),
        Markup(pictures),
        f"and {len(names) - _SHOWN} more classes" if len(names) > _SHOWN else "",
        label=f"Dataset {dataset.name}",
    )


def state_html(state: RunState) -> Markup:
    """A state as a word with its colour beside it."""
    return markup.dot(str(state), _COLOURS[state.value])


def timeline_html(record: RunRecord) -> Markup:
    """How long a run was in each state, as a bar and in words."""
    segments = [
        Segment(_phase_label(str(phase.state), phase.attempt), phase.seconds, _COLOURS[phase.state.value])
        for phase in record.phases
    ]
    return markup.timeline(segments)


def job_text(job: Job) -> str:
    """What a job runs, in one line."""
    return str(job.model) if isinstance(job, TrainingJob) else " ".join((job.entry_script, *job.arguments))


def phases_text(record: RunRecord) -> str:
    """How long a run was in each state, in one line: ``Queued 0.1 s, Preparing 0.4 s, Running 12.3 s``."""
    return ", ".join(
        f"{_phase_label(str(phase.state), phase.attempt)} {duration(phase.seconds)}" for phase in record.phases
    )


def metrics_text(record: RunRecord) -> str:
    """The last metric, as ``objective 12345.6 (step 7)``; of a run that has ended its accuracy, if it has one."""
    if record.state.is_terminal and "accuracy" in record.metrics:
        return f"accuracy {record.metrics['accuracy']:.4f}"
    if not record.points:
        return ""
    last = record.points[-1]
    step = "" if last.step is None else f" (step {last.step})"
    return f"{last.name} {number(last.value)}{step}"


def attempt_rows(record: RunRecord) -> list[tuple[str, ...]]:
    """Of each attempt its number, how it ended, how long it took, its process's end, its error.

    Empty if there was one alone: of that the run's own state and error tell.
    """
    if len(record.attempts) + (not record.state.is_terminal) < 2:  # noqa: PLR2004 - several
        return []
    return [
        (
            str(index),
            attempt.cause or "its end",
            duration((attempt.ended_at - attempt.started_at).total_seconds()),
            attempt.signal or ("" if attempt.exit_code is None else f"exit code {attempt.exit_code}"),
            attempt.error or "",
        )
        for index, attempt in enumerate(record.attempts, start=1)
    ]


def _title(text: str, *more: Markup) -> Markup:
    parts = (Markup(f"<strong>{markup.escape(text)}</strong>"), *more)
    return Markup(" &nbsp; ".join(parts))


def _phase_label(state: str, attempt: int) -> str:
    return state if attempt == 1 else f"{state} (attempt {attempt})"


def _pairs(items: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in items.items())


def _metrics(metrics: Mapping[str, float]) -> Markup:
    if not metrics:
        return Markup()
    table = markup.table(("metric", "value"), metrics.items())
    return table if len(metrics) <= _SHOWN else markup.details(f"Metrics: {len(metrics)}", table)


def _list(title: str, items: Iterable[str]) -> Markup:
    names = tuple(items)
    return markup.details(f"{title}: {len(names)}", markup.preformatted("\n".join(names)))


def _sample(dataset: Dataset, label: int) -> Markup:
    """The first image of a class, dark on white, at most so many pixels wide, with its name and number."""
    is_of_class = dataset.train.labels == label
    count = int(is_of_class.sum())
    if not count:
        return Markup()
    image = dataset.train.images[int(is_of_class.argmax())]
    step = max(-(-max(image.shape) // _SIDE), 1)
    small = 255 - image[::step, ::step]
    height, width = small.shape
    return markup.picture(small.tobytes(), width, height, caption=f"{dataset.class_names[label]} ({count:,})")
