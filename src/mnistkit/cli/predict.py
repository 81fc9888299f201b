"""``mnistkit predict``: predict with a registered model."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnistkit.cli import output
from mnistkit.cli.command import (
    FAILED,
    AllowMismatchOption,
    AllowPickleOption,
    DataOption,
    JsonOption,
    TrustedOption,
    examples,
)
from mnistkit.errors import MnistkitError, UsageError

if TYPE_CHECKING:  # loads numpy
    import numpy as np
    from numpy.typing import NDArray

    from mnistkit.evaluation.images import InputImage
    from mnistkit.evaluation.predictions import Failure, Predictions, Predictor
    from mnistkit.registry.version import ModelVersion
    from mnistkit.trainer.trainer import Trainer

__all__ = ["EXAMPLES", "predict", "trained_on"]

EXAMPLES = examples(
    "mnistkit predict digit.png",
    "mnistkit predict scans --csv predictions.csv",
    "mnistkit predict digits.npy --model sklearn_mnist@champion --json",
    "mnistkit predict photo.jpg --show",
    "mnistkit predict --index 0 --index 7",
)

_MAX_DRAWN_IMAGES = 12
_MAX_WRITTEN_IMAGES = 400
_MAX_LISTED_FAILURES = 20
_COLUMNS = 20
_ZOOM = 4


def predict(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE|FOLDER|PATTERN]...", help="Image files, folders of them, or .npy arrays."),
    ] = None,
    *,
    index: Annotated[list[int] | None, typer.Option(metavar="N", min=0, help="Test image N; repeatable.")] = None,
    data: DataOption = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="NAME, NAME:3 or NAME@ALIAS.  [default: sklearn_mnist]")
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="The number of classes with their probabilities.")] = 3,
    show: Annotated[bool, typer.Option("--show", help="Print what the model sees, as characters.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="PNG", help="Write what the model sees to this file.")] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the predictions to this file.")
    ] = None,
    allow_pickle: AllowPickleOption = False,
    trusted: TrustedOption = None,
    allow_version_mismatch: AllowMismatchOption = False,
    as_json: JsonOption = False,
) -> None:
    """Predict what images show.

    Image files are prepared as the model's training data was: for MNIST they are cropped to the digit, scaled and
    centred, and inverted if they are on a light ground. Arrays are taken as they are.

    Files that can't be read are listed and don't stop the others; then the exit code is 1.
    """
    from mnistkit.config import find_config
    from mnistkit.evaluation.predictions import predictor_of
    from mnistkit.registry.promotion import resolve_model
    from mnistkit.trainer.trainer import Trainer

    if not files and not index:
        raise UsageError("Nothing to predict: name image files, folders or .npy files, or test images with --index N.")
    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"--out {out}: a PNG file is written, so name it .png.")
    trainer = Trainer.from_config(data=data)
    version = resolve_model(trainer.models, find_config().model if model is None else model)
    loading = {"allow_pickle": allow_pickle, "trusted": trusted or (), "allow_version_mismatch": allow_version_mismatch}
    predictor = predictor_of(version, trainer.models, **loading)
    if index and data is None:
        trainer = Trainer.from_config(data=trained_on(trainer, version))
    from_data = _from_dataset(index, trainer, predictor) if index else []
    output.note(f"Predictions of {version.id}:" if not files else f"Predictions of {version.id}; {predictor.note}:")
    sink = _Sink(model=version.id, n_top=top, is_json=as_json, shows=show, out=out, csv_file=csv_file)
    for predictions in _predictions(files or [], from_data, predictor):
        sink.add(predictions)
    sink.finish()


def _predictions(files: list[str], from_data: list[InputImage], predictor: Predictor) -> Iterator[Predictions]:
    from mnistkit.cli.watch import showing_progress
    from mnistkit.evaluation.images import read_images

    if files:
        with showing_progress("Reading"):
            yield from predictor.batches(read_images(files, predictor.spec))
    if from_data:
        yield predictor.predict(from_data)


def _from_dataset(indices: list[int], trainer: Trainer, predictor: Predictor) -> list[InputImage]:
    from mnistkit.cli.watch import fetched
    from mnistkit.evaluation.images import InputImage

    dataset = fetched(trainer)
    h, w = dataset.test.images.shape[1:]
    spec = predictor.spec
    if (h, w) != (spec.height, spec.width):
        raise UsageError(
            f"{predictor.name} takes images of {spec.height}x{spec.width}, but those of {dataset.name} have {h}x{w}: "
            "name the data that it was trained on with --data."
        )
    for i in indices:
        if i >= len(dataset.test):
            raise UsageError(f"--index {i}: {dataset.name} has test images 0 to {len(dataset.test) - 1}.")
    if spec.dataset_sha256 not in {"", dataset.sha256}:
        output.note(f"{predictor.name} was trained on {spec.dataset}: these images are of other data, {dataset.name}.")
    return [
        InputImage(f"{dataset.name} test[{i}]", dataset.test.images[i], int(dataset.test.labels[i])) for i in indices
    ]


def trained_on(trainer: Trainer, version: ModelVersion) -> str | None:
    """Return the uri of the data that the model was trained on; None if its run is unknown."""
    try:
        return trainer.compute.get(version.run_id).data if version.run_id else None
    except MnistkitError:
        return None


class _Sink:
    """Prints predictions as they come, and keeps what is written at the end."""

    def __init__(
        self, *, model: str, n_top: int, is_json: bool, shows: bool, out: Path | None, csv_file: Path | None
    ) -> None:
        self._model, self._n_top, self._is_json, self._shows = model, n_top, is_json, shows
        self._out, self._csv_file = out, csv_file
        self._rows: list[dict[str, Any]] = []
        self._n_predicted = 0
        self._failures: list[Failure] = []
        self._images: list[NDArray[np.uint8]] = []
        self._n_drawn = 0

    def add(self, predictions: Predictions) -> None:
        """Print some predictions."""
        for i in range(len(predictions)):
            row = _row(predictions, i, self._n_top)
            self._n_predicted += 1
            if self._is_json or self._csv_file:
                self._rows.append(row)
            if not self._is_json:
                self._draw(predictions.images[i])
                _say(row)
        self._failures += predictions.failures
        if self._out:
            self._images += list(predictions.images[: _MAX_WRITTEN_IMAGES - len(self._images)])

    def finish(self) -> None:
        """Write the files, print JSON if that is wanted, and list the failures."""
        if self._is_json:
            failed = [{"source": each.source, "error": each.reason} for each in self._failures]
            output.print_json([{"model": self._model, **row} for row in self._rows + failed])
        if self._csv_file:
            _write(self._csv_file, _as_csv(self._rows).encode())
        if self._out and self._images:
            _write(self._out, _mosaic(self._images))
        for failure in self._failures[:_MAX_LISTED_FAILURES]:
            output.complain(failure.reason)
        if self._failures:
            total = len(self._failures) + self._n_predicted
            if total > 1:
                output.complain(f"{len(self._failures)} of {total} images have no prediction.", "Note")
            raise typer.Exit(FAILED)

    def _draw(self, image: NDArray[np.uint8]) -> None:
        console = output.console()
        if not self._shows and (not console.is_terminal or self._n_drawn >= _MAX_DRAWN_IMAGES):
            return
        from mnistkit.cli.pictures import draw

        self._n_drawn += 1
        for line in draw(image, console):
            console.print(line, no_wrap=True, crop=False, overflow="ignore")


def _row(predictions: Predictions, index: int, n_top: int) -> dict[str, Any]:
    label, truth = int(predictions.labels[index]), predictions.truth[index]
    row: dict[str, Any] = {
        "source": predictions.sources[index],
        "label": label,
        "name": predictions.name_of(label),
    }
    if predictions.probabilities is not None:
        row["top"] = [{"name": name, "probability": value} for name, value in predictions.top(index, n_top)]
    if truth is not None:
        row |= {"truth": truth, "right": label == truth}
    return row


def _say(row: dict[str, Any]) -> None:
    top = ", ".join(f"{each['name']} {each['probability']:.3f}" for each in row.get("top", ()))
    verdict = "" if "right" not in row else "  right" if row["right"] else f"  wrong: it is {row['truth']}"
    output.say(f"{row['source']}\t{row['name']}{f'  ({top})' if top else ''}{verdict}")


def _as_csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    n_top = max((len(row.get("top", ())) for row in rows), default=0)
    ranks = range(1, n_top + 1)
    writer.writerow(["source", "label", "name", *(f"{what} {k}" for k in ranks for what in ("class", "probability"))])
    for row in rows:
        top = [value for each in row.get("top", ()) for value in (each["name"], each["probability"])]
        writer.writerow([row["source"], row["label"], row["name"], *top])
    return text.getvalue()


def _mosaic(images: list[NDArray[np.uint8]]) -> bytes:
    """Return a PNG file with the images side by side, enlarged, light grey between them."""
    import numpy as np

    from mnistkit.utils.markup import encode_grey

    h, w = images[0].shape[0] * _ZOOM, images[0].shape[1] * _ZOOM
    n_columns = min(len(images), _COLUMNS)
    n_rows = -(-len(images) // n_columns)
    canvas = np.full((n_rows * (h + _ZOOM), n_columns * (w + _ZOOM)), 200, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = i // n_columns * (h + _ZOOM), i % n_columns * (w + _ZOOM)
        canvas[top : top + h, left : left + w] = np.kron(image, np.ones((_ZOOM, _ZOOM), dtype=np.uint8))
    return encode_grey(canvas.tobytes(), canvas.shape[1], canvas.shape[0])


def _write(path: Path, data: bytes) -> None:
    from mnistkit.utils.files import write_atomically

    write_atomically(path, data)
    output.note(f"Wrote {path}.")
