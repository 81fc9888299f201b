"""``--plot``: pictures of data, runs and models, as a file or drawn with characters."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mnistkit.cli import output
from mnistkit.errors import NotFoundError, UsageError

if TYPE_CHECKING:  # loads numpy
    from matplotlib.figure import Figure
    from rich.console import Console
    from rich.text import Text

    from mnistkit.data.dataset import Dataset
    from mnistkit.evaluation.scores import Evaluation, Predictions
    from mnistkit.runs.run import Run

__all__ = ["DataPlot", "ModelPlot", "NumberOption", "OutOption", "RunPlot", "Subject", "check_out", "plot", "plot_data"]

_LARGE = 16

OutOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a picture instead: .png, .svg or .pdf.", show_default=False)
]
NumberOption = Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many images.")]


class DataPlot(str, enum.Enum):
    """What can be drawn of a dataset."""

    SAMPLES = "samples"
    BALANCE = "balance"
    MEANS = "means"


class ModelPlot(str, enum.Enum):
    """What can be drawn of a model."""

    CONFUSION = "confusion"
    ERRORS = "errors"
    MISCLASSIFIED = "misclassified"
    PREDICTIONS = "predictions"
    RELIABILITY = "reliability"
    WEIGHTS = "weights"


class RunPlot(str, enum.Enum):
    """What can be drawn of a run."""

    TIMELINE = "timeline"
    CONFUSION = "confusion"
    ERRORS = "errors"
    MISCLASSIFIED = "misclassified"
    PREDICTIONS = "predictions"
    RELIABILITY = "reliability"
    WEIGHTS = "weights"


class Subject:
    """What is drawn: a model with the images to ask it for, each fetched when it is first needed."""

    def __init__(
        self, load: Callable[[], Any], fetch: Callable[[], Dataset], *, run: Run | None = None, n: int = 30
    ) -> None:
        self._load, self._fetch, self.run, self.n = load, fetch, run, n

    @cached_property
    def model(self) -> Any:
        """The fitted classifier."""
        return self._load()

    @cached_property
    def dataset(self) -> Dataset:
        """The images."""
        return self._fetch()

    @cached_property
    def predictions(self) -> Predictions:
        """What the model takes the test images for."""
        from mnistkit.evaluation.scores import predict

        return predict(self.model, self.dataset.test)

    @cached_property
    def evaluation(self) -> Evaluation:
        """How good it is: as the run found, else asked now."""
        from mnistkit.evaluation.results import run_evaluation
        from mnistkit.evaluation.scores import evaluate

        if self.run is not None:
            try:
                return run_evaluation(self.run)
            except NotFoundError:  # a script of the user's
                pass
        return evaluate(self.model, self.dataset)


def check_out(kind: enum.Enum | None, out: Path | None) -> None:
    """Make sure that a picture can be drawn into the file, before anything is spent on it.

    Raises:
        UsageError: Nobody said what to draw, or its ending is none that can be written.
    """
    if out is None:
        return
    if kind is None:
        raise UsageError("--out names a picture: say what to draw with --plot.")
    from mnistkit.plots.canvas import format_of

    format_of(out)


def plot(kind: ModelPlot | RunPlot, subject: Subject, out: Path | None) -> None:
    """Draw a run or a model: into a file if one is named, else in the terminal."""
    if out is not None:
        _write(_figure(kind.value, subject), out)
        return
    _print(_LINES[kind.value](subject, output.console()))


def plot_data(
    kind: DataPlot, dataset: Dataset, out: Path | None, *, n: int, seed: int, split: Literal["train", "test"]
) -> None:
    """Draw a dataset: into a file if one is named, else in the terminal."""
    if out is None:
        _print(_data_lines(kind, dataset, output.console(), n=n, seed=seed, split=split))
        return
    from mnistkit import plots

    if kind is DataPlot.SAMPLES:
        _write(plots.sample_grid(dataset, n=n, seed=seed, split=split), out)
    elif kind is DataPlot.BALANCE:
        _write(plots.class_balance(dataset), out)
    else:
        _write(plots.mean_images(dataset, split=split), out)


def _write(figure: Figure, out: Path) -> None:
    from mnistkit.plots.canvas import save

    output.say(str(save(figure, out)))


def _print(lines: Sequence[Text]) -> None:
    console = output.console()
    for line in lines:
        console.print(line, no_wrap=True, crop=False, overflow="ignore")


def _figure(kind: str, subject: Subject) -> Figure:
    from mnistkit import plots

    run, n = subject.run, subject.n
    draw: dict[str, Callable[[], Figure]] = {
        "confusion": lambda: plots.confusion(subject.evaluation),
        "errors": lambda: plots.confusion(subject.evaluation, errors=True),
        "misclassified": lambda: plots.misclassified(subject.model, subject.dataset, n=n),
        "predictions": lambda: plots.prediction_grid(subject.model, subject.dataset, n=n),
        "reliability": lambda: plots.reliability(subject.model, subject.dataset),
        "weights": lambda: plots.weights(subject.model, subject.dataset),
    }
    return plots.timeline(run) if kind == "timeline" and run is not None else draw[kind]()


def _timeline(subject: Subject, console: Console) -> list[Text]:
    from mnistkit.cli.charts import spans

    return spans(subject.run.record.phases, console) if subject.run else []


def _confusion(subject: Subject, _console: Console, *, errors: bool) -> list[Text]:
    from mnistkit.cli.charts import matrix

    evaluation = subject.evaluation
    names = [each.name for each in evaluation.classes]
    if errors:
        from mnistkit.plots.confusion import error_shares

        shares = error_shares(evaluation).tolist()
        cells = [
            ["" if math.isnan(value) else f"{100 * value:.1f}" if value else "." for value in row] for row in shares
        ]
        return matrix(names, cells, "% of true")
    return matrix(names, [[str(count or ".") for count in row] for row in evaluation.confusion], "true")


def _answered(subject: Subject, console: Console, *, wrong: bool) -> list[Text]:
    import numpy as np

    from mnistkit.plots.predictions import caption, wrong_first

    predictions, test = subject.predictions, subject.dataset.test
    chosen = wrong_first(predictions) if wrong else np.random.default_rng(0).permutation(len(test))
    if wrong:
        output.note(f"{len(chosen)} of {len(test)} test images are misclassified.")
    chosen = chosen[: subject.n]
    images = [test.images[i] if predictions.right[i] else 255 - test.images[i] for i in chosen]
    names = [caption(subject.dataset.class_names, predictions, i).replace("\n", " ") for i in chosen]
    return _images(images, names, console)


def _reliability(subject: Subject, console: Console) -> list[Text]:
    from mnistkit.cli.charts import bars
    from mnistkit.evaluation.calibration import calibrate

    found = calibrate(subject.predictions)
    output.note(f"Right answers by confidence; confidence is off by {100 * found.error:.1f} points on average.")
    rows = [
        (f"{each.low:.0%}-{each.high:.0%} sure", each.accuracy, f"{each.accuracy:.1%} right of {each.n}")
        for each in found.bins
    ]
    return bars(rows, console, full=1)


def _weights(subject: Subject, console: Console) -> list[Text]:
    import numpy as np

    from mnistkit.plots.weights import weight_images

    weights, names = weight_images(subject.model, subject.dataset)
    output.note("Bright pixels speak for a class; what speaks against it is in the picture that --out writes.")
    most = float(np.quantile(np.abs(weights), 0.99)) or 1.0
    return _images([*(np.clip(weights / most, 0, 1) * 255).astype(np.uint8)], names, console)


_LINES: dict[str, Callable[[Subject, Any], list[Text]]] = {
    "timeline": _timeline,
    "confusion": partial(_confusion, errors=False),
    "errors": partial(_confusion, errors=True),
    "misclassified": partial(_answered, wrong=True),
    "predictions": partial(_answered, wrong=False),
    "reliability": _reliability,
    "weights": _weights,
}


def _data_lines(
    kind: DataPlot, dataset: Dataset, console: Console, *, n: int, seed: int, split: Literal["train", "test"]
) -> list[Text]:
    import numpy as np

    part, names = (dataset.train if split == "train" else dataset.test), dataset.class_names
    if kind is DataPlot.SAMPLES:
        chosen = np.random.default_rng(seed).permutation(len(part))[:n]
        return _images([part.images[i] for i in chosen], [names[part.labels[i]] for i in chosen], console)
    if kind is DataPlot.MEANS:
        labels = np.unique(part.labels)
        means = [part.images[part.labels == label].mean(axis=0).round().astype(np.uint8) for label in labels]
        return _images(means, [names[label] for label in labels], console)
    from mnistkit.cli.charts import bars

    train, test = (np.bincount(half.labels, minlength=len(names)) for half in (dataset.train, dataset.test))
    rows = [(name, float(train[i]), f"{train[i]} to train on, {test[i]} to test on") for i, name in enumerate(names)]
    return bars(rows, console)


def _images(images: Sequence[Any], captions: Sequence[str], console: Console) -> list[Text]:
    from mnistkit.cli.pictures import draw_rows, halved

    if not len(images):
        return []
    large = min(images[0].shape) > _LARGE
    return draw_rows([halved(image) if large else image for image in images], list(captions), console)
