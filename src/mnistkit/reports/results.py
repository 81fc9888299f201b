"""The results of a run in a report: metrics, classes, confusion, misclassified images."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np

from mnistkit import plots
from mnistkit.evaluation.scores import Evaluation
from mnistkit.plots.series import series_names
from mnistkit.reports.data import Missing, RunData
from mnistkit.reports.drawing import drawn
from mnistkit.reports.images import has_long_names, misclassified_images
from mnistkit.reports.page import Figure, Section
from mnistkit.runs.record import RunRecord
from mnistkit.utils.summary import Summary, SummaryTable
from mnistkit.utils.text import number

__all__ = ["misclassified_section", "n_wrong", "results_section"]

_MAX_MISTAKES = 40
_MAX_MATRIX_CLASSES = 16
_MAX_CURVES = 4
_MAX_PICTURE_PX = 900
_SAYS_WORST = 3


def results_section(data: RunData) -> Section:
    """Return what the run was measured to do, and which classes its model confuses."""
    evaluation = data.evaluation
    values = {
        "metrics": _metrics(data.record, evaluation),
        "pictures": [_picture(name, png) for name, png in data.pictures.items()],
        "evaluation": evaluation,
        "curves": _curves(data.record),
    }
    if isinstance(evaluation, Evaluation):
        summary = evaluation.describe()
        values |= {"evaluation": summary, "confusion": _confusion(evaluation, summary), "shades": _shades(evaluation)}
    return Section("Results", "results.html", values)


def misclassified_section(data: RunData) -> Section:
    """Return the test images that the run's model, loaded again, gets wrong."""
    title, template = "Misclassified images", "misclassified.html"
    predictions, dataset, evaluation = data.predictions, data.dataset, data.evaluation
    if isinstance(predictions, Missing):
        return Section(title, template, {"missing": predictions})
    if isinstance(dataset, Missing):
        return Section(title, template, {"missing": dataset})
    count, n = int((~predictions.right).sum()), len(predictions.right)
    values = {
        "missing": None,
        "warning": "",
        "text": f"None of the {n:,} test images is misclassified.",
        "images": misclassified_images(dataset, predictions, _MAX_MISTAKES),
        "is_wide": has_long_names(dataset, per_caption=2),
    }
    if count:
        order = "in their order" if predictions.confidence is None else "those with the highest confidence first"
        shown = f"{_MAX_MISTAKES} of them are shown" if count > _MAX_MISTAKES else "All are shown"
        confidence = "" if predictions.confidence is None else " The percentage is the confidence of the prediction."
        values["text"] = (
            f"{count:,} of the {n:,} test images are misclassified ({count / n:.2%}). {shown}, {order}. "
            f"The true class comes first; red is the predicted one.{confidence}"
        )
    if isinstance(evaluation, Evaluation) and (evaluation.n, n_wrong(evaluation)) != (n, count):
        values["warning"] = (
            f"Now the model predicts {count:,} of {n:,} images wrongly; during the run it was {n_wrong(evaluation):,} "
            f"of {evaluation.n:,}. The data or the libraries have changed since."
        )
    return Section(title, template, values)


def n_wrong(evaluation: Evaluation) -> int:
    """Return the number of wrong predictions."""
    return evaluation.n - round(evaluation.accuracy * evaluation.n)


def _curves(record: RunRecord) -> list[Figure | Missing]:
    """Return a figure of each metric that was logged over several steps: at most four."""
    found = []
    for name in series_names(record)[:_MAX_CURVES]:
        points = [point.value for point in record.points if point.name == name]
        subject = f"{name} over {len(points):,} values: first {number(points[0])}, last {number(points[-1])}"
        found.append(drawn(partial(plots.series, record, name), alt=f"A curve. {subject}", caption=subject))
    return found


def _metrics(record: RunRecord, evaluation: Evaluation | Missing) -> SummaryTable:
    logged = Counter(point.name for point in record.points)
    rows = [(name, number(value), logged[name]) for name, value in record.metrics.items()]
    if isinstance(evaluation, Missing):
        return SummaryTable(title="Metrics", columns=("metric", "last value#", "times logged#"), rows=rows)
    low, high = evaluation.interval()
    intervals = {"accuracy": f"{low:.4f} to {high:.4f}"}
    return SummaryTable(
        title="Metrics",
        columns=("metric", "last value#", "95% interval#", "times logged#"),
        rows=[(name, value, intervals.get(name, ""), times) for name, value, times in rows],
    )


def _confusion(evaluation: Evaluation, summary: Summary) -> Figure | Missing:
    worst = summary.table("Most frequent mistakes").rows[:_SAYS_WORST]
    fields = "; ".join(f"{truth} predicted as {predicted}, {count} times" for truth, predicted, count, _ in worst)
    alt = (
        "A matrix with true classes as rows and predicted ones as columns, in percent of each row, the right "
        f"predictions left blank; the darkest fields: {fields}."
        if worst
        else "A matrix with true classes as rows and predicted ones as columns, without any error."
    )
    return drawn(
        lambda: plots.confusion(evaluation, errors=True),
        alt=alt,
        caption="The share of each true class that was predicted as another one. Right predictions are left blank.",
    )


def _shades(evaluation: Evaluation) -> list[list[float]]:
    """Return how dark each cell of the matrix is, 0 to 1; nothing if it has too many classes to be read."""
    if len(evaluation.classes) > _MAX_MATRIX_CLASSES:
        return []
    counts = np.array(evaluation.confusion)
    shades: list[list[float]] = np.sqrt(counts / max(int(counts.max()), 1)).round(2).tolist()
    return shades


def _picture(name: str, png: bytes) -> Figure:
    """Return a file that the run left; its size is what the PNG's header says, within what a page has room for."""
    width, height = (max(int.from_bytes(png[i : i + 4], "big"), 1) for i in (16, 20))
    scale = min(1.0, _MAX_PICTURE_PX / width, _MAX_PICTURE_PX / height)
    return Figure(
        png=png,
        width=max(round(width * scale), 1),
        height=max(round(height * scale), 1),
        alt=f"The picture {name}, which the run left; what it shows isn't known",
        caption=name,
    )
