"""How good a run's model is, in a report: metrics, classes, confusion, mistakes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mnistkit import plots
from mnistkit.evaluation.scores import Evaluation, wilson_interval
from mnistkit.reports import page
from mnistkit.reports.data import Findings, Missing
from mnistkit.reports.drawing import drawn
from mnistkit.reports.images import mistakes
from mnistkit.runs.record import RunRecord
from mnistkit.utils.markup import Markup
from mnistkit.utils.text import number

__all__ = ["interval", "misclassified", "results", "wrong"]

_MISTAKES = 40
_PAIRS = 10
_MOST_CELLS = 16


def results(record: RunRecord, findings: Findings) -> list[object]:
    """What it was measured to do, and which classes it mistakes for which."""
    evaluation = findings.evaluation
    parts: list[object] = [_metrics(record, evaluation)]
    if isinstance(evaluation, Missing):
        parts.append(page.missing("how good the model is, class by class", evaluation.why))
    else:
        meaning = (
            "Recall: the share of a class that is recognised. Precision: the share of answers naming it that are right."
        )
        parts += [page.subheading("Class by class"), page.paragraph(meaning), _classes(evaluation)]
        parts += _confusion(evaluation)
    if findings.pictures:
        parts.append(page.subheading("Pictures that the run left"))
        for name, data in findings.pictures.items():
            alt = f"The picture {name}, which the run left; what it shows isn't known"
            parts.append(page.figure(data, _size(data), alt=alt, caption=name))
    return parts


def misclassified(findings: Findings) -> list[object]:
    """The images that its model gets wrong, asked again."""
    predictions, dataset = findings.predictions, findings.dataset
    if isinstance(predictions, Missing) or isinstance(dataset, Missing):
        why = predictions.why if isinstance(predictions, Missing) else "The data is missing."
        return [page.missing("the misclassified images", why)]
    count, n = int((~predictions.right).sum()), len(predictions.right)
    if not count:
        return [page.paragraph(f"None of the {n:,} test images is misclassified.")]
    parts: list[object] = []
    evaluation = findings.evaluation
    if isinstance(evaluation, Evaluation) and (evaluation.n, wrong(evaluation)) != (n, count):
        parts.append(
            page.note(
                f"Asked again, the model gets {count:,} of {n:,} wrong; the run counted {wrong(evaluation):,} of "
                f"{evaluation.n:,}. The data or the libraries have changed since."
            )
        )
    which = "the surest mistakes first" if predictions.confidence is not None else "in their order"
    shown = f" {_MISTAKES} of them are shown, {which}." if count > _MISTAKES else f" Here they are, {which}."
    sure = " The percentage is how sure the model was." if predictions.confidence is not None else ""
    what = "In red what the model took each for, then what it is."
    text = f"{count:,} of the {n:,} test images are misclassified ({count / n:.2%}).{shown} {what}{sure}"
    return [*parts, page.paragraph(text), mistakes(dataset, predictions, _MISTAKES)]


def wrong(evaluation: Evaluation) -> int:
    """How many answers were wrong."""
    return evaluation.n - round(evaluation.accuracy * evaluation.n)


def interval(evaluation: Evaluation) -> str:
    """The accuracy's 95% interval in words."""
    low, high = evaluation.interval()
    return f"{low:.2%} to {high:.2%}"


def _metrics(record: RunRecord, evaluation: Evaluation | Missing) -> Markup:
    if not record.metrics:
        return page.missing("metrics", "The run logged none.")
    logged: dict[str, int] = {}
    for point in record.points:
        logged[point.name] = logged.get(point.name, 0) + 1
    intervals: Mapping[str, str] = {} if isinstance(evaluation, Missing) else {"accuracy": _as_logged(evaluation)}
    columns = ("metric", "last value#", *(["95% interval#"] if intervals else []), "times logged#")
    rows = [
        (name, number(value), *([intervals.get(name, "")] if intervals else []), logged[name])
        for name, value in record.metrics.items()
    ]
    return page.table(columns, rows, caption="Metrics")


def _as_logged(evaluation: Evaluation) -> str:
    low, high = evaluation.interval()
    return f"{low:.4f} to {high:.4f}"


def _classes(evaluation: Evaluation) -> Markup:
    rows = []
    for each in evaluation.classes:
        low, high = wilson_interval(round(each.recall * each.support), each.support) if each.support else (0.0, 1.0)
        spans = f"{low:.1%} to {high:.1%}" if each.support else ""
        rows.append(
            (each.name, f"{each.recall:.1%}", spans, f"{each.precision:.1%}", f"{each.f1:.1%}", f"{each.support:,}")
        )
    columns = ("class", "recall#", "its 95% interval#", "precision#", "F1#", "test images#")
    return page.table(columns, rows, caption="Scores of each class")


def _confusion(evaluation: Evaluation) -> list[object]:
    names = [each.name for each in evaluation.classes]
    counts = np.array(evaluation.confusion)
    pairs = _pairs(counts)
    worst = "; ".join(f"{names[i]} taken for {names[j]}, {counts[i, j]} times" for i, j in pairs[:3])
    alt = (
        f"A matrix with true classes as rows and predicted ones as columns, in percent of each row, the right answers "
        f"left blank; the darkest fields: {worst}." if pairs else "A matrix without any error."
    )  # fmt: skip
    rows = [(names[i], names[j], f"{counts[i, j]:,}", f"{counts[i, j] / counts[i].sum():.1%}") for i, j in pairs]
    return [
        page.subheading("What was taken for what"),
        drawn(
            lambda: plots.confusion(evaluation, errors=True),
            alt=alt,
            caption="Which share of each class was taken for which other one. The right answers are left blank.",
        ),
        page.table(
            ("it is", "taken for", "times#", "of the class#"), rows, caption=f"The {len(rows)} most frequent mistakes"
        ),
        page.unfolded("All counts, as a table", _matrix(names, counts)) if len(names) <= _MOST_CELLS else "",
    ]


def _pairs(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    errors = counts * ~np.eye(len(counts), dtype=bool)
    order = np.argsort(-errors, axis=None, kind="stable")[:_PAIRS]
    return [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, errors.shape), strict=True) if errors[i, j]]


def _matrix(names: list[str], counts: NDArray[np.int64]) -> Markup:
    shades = np.sqrt(counts / max(int(counts.max()), 1)).tolist()
    rows = [(name, *row) for name, row in zip(names, counts.tolist(), strict=True)]
    columns = ("class#", *(f"{name}#" for name in names))
    caption = "Rows are true classes, columns predicted ones; the darker, the more."
    return page.table(columns, rows, caption=caption, shades=shades, row_heading="it is")


def _size(png: bytes) -> tuple[int, int]:
    """Width and height, as the PNG's header says, within what a page has room for."""
    width, height = (max(int.from_bytes(png[i : i + 4], "big"), 1) for i in (16, 20))
    scale = min(1.0, 900 / width, 900 / height)
    return max(round(width * scale), 1), max(round(height * scale), 1)
