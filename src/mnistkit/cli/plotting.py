"""``--plot``: figures of data, runs and models, as files."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mnistkit.cli import output
from mnistkit.errors import NotFoundError, UsageError

if TYPE_CHECKING:  # loads numpy
    from matplotlib.figure import Figure

    from mnistkit.data.dataset import Dataset
    from mnistkit.evaluation.scores import Evaluation
    from mnistkit.runs.run import Run

__all__ = ["DataPlot", "ModelPlot", "NumberOption", "OutOption", "RunPlot", "Subject", "check_out", "plot", "plot_data"]

_MAX_NAME_CHARS = 80

OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The figure's file: .png, .svg or .pdf.  [default: KIND-NAME.png]",
        show_default=False,
    ),
]
NumberOption = Annotated[int, typer.Option("-n", min=1, max=10_000, help="The number of images.")]


class DataPlot(str, enum.Enum):
    """The figures of a dataset."""

    SAMPLES = "samples"
    BALANCE = "balance"
    MEANS = "means"


class ModelPlot(str, enum.Enum):
    """The figures of a model."""

    CONFUSION = "confusion"
    ERRORS = "errors"
    MISCLASSIFIED = "misclassified"
    PREDICTIONS = "predictions"
    RELIABILITY = "reliability"
    WEIGHTS = "weights"


class RunPlot(str, enum.Enum):
    """The figures of a run."""

    TIMELINE = "timeline"
    SERIES = "series"
    CONFUSION = "confusion"
    ERRORS = "errors"
    MISCLASSIFIED = "misclassified"
    PREDICTIONS = "predictions"
    RELIABILITY = "reliability"
    WEIGHTS = "weights"


class Subject:
    """The model of a figure, and the images for it to predict; each is loaded when it is first needed.

    Attributes:
        name: Of the run or the model version.
        run: The run, if it is one.
        n: The number of images to draw.
        metric: The metric to draw a series of; None for the first that was logged over several steps.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], Any],
        fetch: Callable[[], Dataset],
        *,
        run: Run | None = None,
        n: int = 30,
        metric: str | None = None,
    ) -> None:
        self._load, self._fetch = load, fetch
        self.name, self.run, self.n, self.metric = name, run, n, metric

    @cached_property
    def model(self) -> Any:
        """The fitted classifier."""
        return self._load()

    @cached_property
    def dataset(self) -> Dataset:
        """The images."""
        return self._fetch()

    @cached_property
    def evaluation(self) -> Evaluation:
        """The evaluation that the run wrote, else one that is made now."""
        from mnistkit.evaluation.results import run_evaluation
        from mnistkit.evaluation.scores import evaluate

        if self.run is not None:
            try:
                return run_evaluation(self.run)
            except NotFoundError:  # a script of the user's
                pass
        return evaluate(self.model, self.dataset)


def check_out(kind: enum.Enum | None, out: Path | None) -> None:
    """Check that a figure can be written to the file, before anything is spent on it.

    Raises:
        UsageError: There is no ``--plot``, or the file's ending is none that can be written.
    """
    if out is None:
        return
    if kind is None:
        raise UsageError("--out names a figure's file: name the figure with --plot.")
    from mnistkit.plots.canvas import format_of

    format_of(out)


def plot(kind: ModelPlot | RunPlot, subject: Subject, out: Path | None) -> None:
    """Draw a run or a model into a file, and print where it is."""
    _write(_figure(kind.value, subject), out or _default(kind, subject.name))


def plot_data(
    kind: DataPlot, dataset: Dataset, out: Path | None, *, n: int, seed: int, split: Literal["train", "test"]
) -> None:
    """Draw a dataset into a file, and print where it is."""
    from mnistkit import plots

    draw: dict[DataPlot, Callable[[], Figure]] = {
        DataPlot.SAMPLES: lambda: plots.sample_grid(dataset, n=n, seed=seed, split=split),
        DataPlot.BALANCE: lambda: plots.class_balance(dataset),
        DataPlot.MEANS: lambda: plots.mean_images(dataset, split=split),
    }
    _write(draw[kind](), out or _default(kind, dataset.name))


def _write(figure: Figure, out: Path) -> None:
    from mnistkit.plots.canvas import save

    output.say(str(save(figure, out)))


def _default(kind: enum.Enum, name: str) -> Path:
    """Return the file of a figure whose subject has any name: ``confusion-NAME.png``."""
    return Path(f"{kind.value}-{re.sub(r'[^A-Za-z0-9._-]+', '_', name)[:_MAX_NAME_CHARS]}.png")


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
    if run is not None:
        draw |= {"timeline": lambda: plots.timeline(run), "series": lambda: plots.series(run, subject.metric)}
    return draw[kind]()
