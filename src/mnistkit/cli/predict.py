"""``mnistkit predict``: predict with a registered model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from attrs import evolve

from mnistkit.cli import output
from mnistkit.cli.command import (
    AllowMismatchOption,
    AllowPickleOption,
    DataOption,
    JsonOption,
    TrustedOption,
    examples,
)
from mnistkit.cli.predictions import PredictionOutput
from mnistkit.errors import MnistkitError, UsageError

if TYPE_CHECKING:  # loads numpy
    from mnistkit.evaluation.images import InputImage
    from mnistkit.evaluation.predictions import Predictions, Predictor
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


def predict(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE|FOLDER|PATTERN]...", help="Image files, folders of them, or .npy arrays."),
    ] = None,
    *,
    index: Annotated[list[int] | None, typer.Option(metavar="N", min=0, help="Test image N; repeatable.")] = None,
    data: DataOption = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="NAME, NAME:3 or NAME@ALIAS.  [default: that of the data]")
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="The number of classes with their probabilities.")] = 3,
    show: Annotated[bool, typer.Option("--show", help="Print what the model sees, as characters.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="PNG", help="Write what the model sees to this file.")] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the predictions to this file.")
    ] = None,
    resize: Annotated[bool, typer.Option("--resize", help="Scale arrays of another size than the model's.")] = False,
    allow_pickle: AllowPickleOption = False,
    trusted: TrustedOption = None,
    allow_version_mismatch: AllowMismatchOption = False,
    as_json: JsonOption = False,
) -> None:
    """Predict what images show.

    Image files are prepared as the model's training data was: for MNIST they are cropped to the digit, scaled and
    centred, and inverted if they are on a light ground. Arrays are taken as they are; those of another size are
    refused, or with --resize scaled.

    Files that can't be read are listed and don't stop the others; then the exit code is 1.
    """
    from mnistkit.evaluation.predictions import predictor_of
    from mnistkit.registry.promotion import resolve_model
    from mnistkit.trainer.trainer import Trainer

    if not files and not index:
        raise UsageError("Nothing to predict: name image files, folders or .npy files, or test images with --index N.")
    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"--out {out}: a PNG file is written, so name it .png.")
    trainer = Trainer.from_config(data=data)
    version = resolve_model(trainer.models, trainer.default_model() if model is None else model)
    loading = {"allow_pickle": allow_pickle, "trusted": trusted or (), "allow_version_mismatch": allow_version_mismatch}
    predictor = predictor_of(version, trainer.models, **loading)
    if index and data is None:
        trainer = Trainer.from_config(data=trained_on(trainer, version))
    from_data = _from_dataset(index, trainer, predictor, resize=resize) if index else []
    output.note(f"Predictions of {version.id}:" if not files else f"Predictions of {version.id}; {predictor.note}:")
    printed = PredictionOutput(model=version.id, n_top=top, is_json=as_json, shows=show, out=out, csv_file=csv_file)
    try:
        for predictions in _predictions(files or [], from_data, predictor, resize=resize):
            printed.add(predictions)
        printed.finish()
    finally:
        printed.close()


def _predictions(
    files: list[str], from_data: list[InputImage], predictor: Predictor, *, resize: bool
) -> Iterator[Predictions]:
    from mnistkit.cli.watch import showing_progress
    from mnistkit.evaluation.images import read_images

    if files:
        with showing_progress("Reading"):
            yield from predictor.batches(read_images(files, predictor.spec, resize=resize))
    if from_data:
        yield predictor.predict(from_data)


def _from_dataset(indices: list[int], trainer: Trainer, predictor: Predictor, *, resize: bool) -> list[InputImage]:
    from mnistkit.cli.watch import fetched
    from mnistkit.data.split import Split
    from mnistkit.evaluation.images import read_images

    dataset = fetched(trainer)
    h, w = dataset.test.images.shape[1:]
    spec = predictor.spec
    if (h, w) != (spec.height, spec.width) and not resize:
        raise UsageError(
            f"{predictor.name} takes images of {spec.height}x{spec.width}, but those of {dataset.name} have {h}x{w}: "
            "name the data that it was trained on with --data, or scale them with --resize."
        )
    for i in indices:
        if i >= len(dataset.test):
            raise UsageError(f"--index {i}: {dataset.name} has test images 0 to {len(dataset.test) - 1}.")
    if spec.dataset_sha256 not in {"", dataset.sha256}:
        output.note(f"{predictor.name} was trained on {spec.dataset}: these images are of other data, {dataset.name}.")
    chosen = Split(images=dataset.test.images[indices], labels=dataset.test.labels[indices])
    return [
        evolve(image, source=f"{dataset.name} test[{i}]")
        for i, image in zip(indices, read_images(chosen, spec, resize=resize), strict=True)
    ]


def trained_on(trainer: Trainer, version: ModelVersion) -> str | None:
    """Return the uri of the data that the model was trained on; None if its run is unknown."""
    try:
        return trainer.compute.get(version.run_id).data if version.run_id else None
    except MnistkitError:
        return None
