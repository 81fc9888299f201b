"""Predictions for images of any form, prepared as the model's training data was."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from mnistkit.errors import MissingExtraError, MnistkitError, ModelError
from mnistkit.evaluation.images import InputImage
from mnistkit.evaluation.outputs import predicted_labels, predicted_probabilities
from mnistkit.evaluation.results import run_model
from mnistkit.models.input import InputSpec
from mnistkit.models.raw import classifier_of_rows
from mnistkit.registry.loading import load_model
from mnistkit.registry.promotion import resolve_model
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.registration import run_input, run_model_file
from mnistkit.runs.run import Run
from mnistkit.utils.markup import render
from mnistkit.utils.summary import Cell, Summary, SummaryTable, Thumbnail

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Failure", "Predictions", "Predictor", "predict_images", "predictor_of"]

_BATCH_IMAGES = 256
_MAX_THUMBNAILS = 20
_N_TOP_CLASSES = 3


@frozen
class Failure:
    """An image that couldn't be predicted.

    Attributes:
        source: Where it came from.
        reason: Why.
    """

    source: str
    reason: str


@frozen(kw_only=True, eq=False)
class Predictions:
    """Predictions of a model for some images.

    Attributes:
        model: The model, for people.
        note: How image files were prepared, and on what record; for people.
        sources: Where each image came from.
        labels: ``(n,) int64``: the predicted labels; -1 where the model's output means none.
        class_names: One per label, label 0 first.
        probabilities: ``(n, k) float64``: of each class, with a sum of 1; None if they weren't wanted, or if the model
            has none.
        images: ``(n, h, w) uint8``: what the model saw.
        truth: The true labels, where known.
        failures: The images that couldn't be read.
    """

    model: str
    note: str
    sources: tuple[str, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    probabilities: NDArray[np.float64] | None
    images: NDArray[np.uint8]
    truth: tuple[int | None, ...]
    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """The predicted classes by name; a label without a name is its number."""
        return tuple(self.name_of(int(label)) for label in self.labels)

    def name_of(self, label: int) -> str:
        """Return the name of a label."""
        return self.class_names[label] if 0 <= label < len(self.class_names) else str(label)

    def top(self, index: int, n: int = _N_TOP_CLASSES) -> tuple[tuple[str, float], ...]:
        """Return the likeliest classes of one image with their probabilities; empty if there are none."""
        if self.probabilities is None:
            return ()
        row = self.probabilities[index]
        return tuple((self.name_of(int(k)), float(row[k])) for k in np.argsort(-row, kind="stable")[:n])

    def to_pandas(self) -> pd.DataFrame:
        """Return a row per image: source, label, name, and the probability of each class by its name.

        Raises:
            MissingExtraError: pandas isn't installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("to_pandas() needs pandas: python -m pip install pandas.") from error
        columns: dict[str, Any] = {"source": self.sources, "label": self.labels, "name": self.names}
        frame = pd.DataFrame(columns)
        if self.probabilities is None:
            return frame
        return frame.join(pd.DataFrame(self.probabilities, columns=list(self.class_names)))

    def describe(self) -> Summary:
        """Return the predictions as a table, with the first images as the model saw them."""
        rows: list[tuple[Cell, ...]] = [
            (source, name, f"{self.top(i, 1)[0][1]:.3f}" if self.probabilities is not None else "")
            for i, (source, name) in enumerate(zip(self.sources, self.names, strict=True))
        ]
        height, width = self.images.shape[1:]
        return Summary(
            title=f"Predictions of {self.model}",
            facts={"Images": f"{len(self):,}", "Prepared": self.note},
            images=tuple(
                Thumbnail(caption=self.names[i], pixels=(255 - self.images[i]).tobytes(), width=width, height=height)
                for i in range(min(len(self), _MAX_THUMBNAILS))
            ),
            tables=(
                SummaryTable(title="Predictions", columns=("image", "class", "probability#"), rows=rows),
                SummaryTable(
                    title="Not predicted",
                    columns=("image", "reason"),
                    rows=[(each.source, each.reason) for each in self.failures],
                ),
            ),
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.describe())

    def __repr__(self) -> str:
        """Return what a prompt shows: the classes, not the pixels."""
        shown = ", ".join(map(repr, self.names[:10])) + (", ..." if len(self) > 10 else "")  # noqa: PLR2004
        return f"Predictions({self.model!r}, {len(self)} image{'' if len(self) == 1 else 's'}: {shown})"


@frozen(kw_only=True, eq=False)
class Predictor:
    """A classifier with what it takes to predict images.

    Attributes:
        name: For people.
        classifier: Fitted.
        spec: Its input; the names of the classes may be empty.
        note: How image files are prepared, and on what record; for people.
    """

    name: str
    classifier: Any
    spec: InputSpec
    note: str

    def predict(self, images: Sequence[InputImage], *, proba: bool = True) -> Predictions:
        """Return the predictions for images that were read; those with an error are the failures."""
        readable = [image for image in images if image.pixels is not None]
        pixels = [image.pixels for image in readable if image.pixels is not None]
        shape = (self.spec.height, self.spec.width)
        seen = np.stack(pixels) if pixels else np.empty((0, *shape), dtype=np.uint8)
        names = self.spec.class_names or _class_names(self.classifier)
        X = np.divide(seen.reshape(len(seen), self.spec.n_features), np.float32(self.spec.scale), dtype=np.float32)
        labels = predicted_labels(self.classifier, X, names) if pixels else np.empty(0, dtype=np.int64)
        return Predictions(
            model=self.name,
            note=self.note,
            sources=tuple(image.source for image in readable),
            labels=labels,
            class_names=names,
            probabilities=predicted_probabilities(self.classifier, X, names) if proba and pixels else None,
            images=seen,
            truth=tuple(image.label for image in readable),
            failures=tuple(Failure(image.source, str(image.error)) for image in images if image.error is not None),
        )

    def batches(self, images: Iterable[InputImage], *, proba: bool = True) -> Iterator[Predictions]:
        """Yield predictions for some images at a time, so that any number of them takes bounded memory."""
        batch: list[InputImage] = []
        for image in images:
            batch.append(image)
            if len(batch) == _BATCH_IMAGES:
                yield self.predict(batch, proba=proba)
                batch = []
        if batch:
            yield self.predict(batch, proba=proba)


def predictor_of(model: Run | str | ModelVersion | Any, models: ModelRegistry, **loading: Any) -> Predictor:
    """Return a predictor of a run, a reference, a version, or a fitted classifier.

    Args:
        model: A run, a reference such as ``name@champion``, a version, or a fitted classifier.
        models: The registry of references and versions.
        loading: As `mnistkit.load_model` takes it: ``allow_pickle`` and so on.

    Raises:
        NotFoundError: The run left no model, or there is no such version.
        UnsafeModelError: Loading it could run code.
        ModelError: It is no classifier of images, or takes other images than its record says.
    """
    if isinstance(model, Run):
        name, classifier, spec = f"run {model.id}", run_model(model, **loading), run_input(model, run_model_file(model))
    elif isinstance(model, (str, ModelVersion)):
        version = resolve_model(models, model) if isinstance(model, str) else model
        name, classifier, spec = version.id, load_model(models, version, **loading), version.input
    else:
        classifier = classifier_of_rows(model)
        name, spec = type(classifier).__name__, None
    return _predictor(name, classifier, spec)


def predict_images(predictor: Predictor, images: Iterable[InputImage], *, proba: bool = False) -> Predictions:
    """Return the predictions for all images, computed in the same batches as by the command line.

    Args:
        predictor: The model.
        images: What `mnistkit.evaluation.images.read_images` yields.
        proba: Also return the probabilities.

    Raises:
        MnistkitError: None of the images can be read: the first one's error.
    """
    errors: list[MnistkitError] = []
    batches = list(predictor.batches(_noting(images, errors), proba=proba))
    if errors and not any(map(len, batches)):
        raise errors[0]
    return _joined(batches) if batches else predictor.predict((), proba=proba)


def _noting(images: Iterable[InputImage], errors: list[MnistkitError]) -> Iterator[InputImage]:
    """Yield the images, and note the first error."""
    for image in images:
        if image.error is not None and not errors:
            errors.append(image.error)
        yield image


def _joined(batches: Sequence[Predictions]) -> Predictions:
    """Return batches of one model as one."""
    probabilities = [batch.probabilities for batch in batches if len(batch)]
    usable = [each for each in probabilities if each is not None]
    return evolve(
        batches[0],
        sources=tuple(each for batch in batches for each in batch.sources),
        labels=np.concatenate([batch.labels for batch in batches]),
        probabilities=np.concatenate(usable) if usable and len(usable) == len(probabilities) else None,
        images=np.concatenate([batch.images for batch in batches]),
        truth=tuple(each for batch in batches for each in batch.truth),
        failures=tuple(each for batch in batches for each in batch.failures),
    )


def _predictor(name: str, classifier: Any, spec: InputSpec | None) -> Predictor:
    from sklearn.base import is_regressor

    n_features = getattr(classifier, "n_features_in_", None if spec is None else spec.n_features)
    if n_features is None or not hasattr(classifier, "predict"):
        raise ModelError(f"{name} is a {type(classifier).__name__}, which isn't a fitted classifier of images.")
    if hasattr(classifier, "__sklearn_tags__") and is_regressor(classifier):  # our linear models have none
        raise ModelError(f"{name} is a {type(classifier).__name__}, which predicts numbers: give a classifier.")
    if spec is not None:
        if n_features != spec.n_features:
            raise ModelError(
                f"{name} takes {n_features} numbers, but its record says images of {spec.size}, which are "
                f"{spec.n_features}: register it again with the right input."
            )
        of = f" ({spec.dataset})" if spec.dataset else ""
        return Predictor(
            name=name, classifier=classifier, spec=spec, note=f"{spec.preparation}, as its training data was{of}"
        )
    side = math.isqrt(n_features)
    if side**2 != n_features:
        raise ModelError(
            f"{name} takes {n_features} numbers, which don't make a square image, and has no record of their "
            "height and width: train it again, or register it with ModelInfo(input=InputSpec(...))."
        )
    spec = InputSpec(height=side, width=side, inverted=True, centred=True)
    note = f"{spec.preparation}, as MNIST's are: it has no record of how its training data was prepared"
    return Predictor(name=name, classifier=classifier, spec=spec, note=note)


def _class_names(classifier: Any) -> tuple[str, ...]:
    """Return the labels themselves as names, where nothing names them."""
    known = np.asarray(getattr(classifier, "classes_", ()))
    if known.dtype.kind in "iubf" and known.size:
        return tuple(str(label) for label in range(int(known.max()) + 1))
    return tuple(map(str, known.tolist()))
