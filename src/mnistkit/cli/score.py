"""``mnistkit score``: ask a registered model what it sees."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnistkit.cli import output
from mnistkit.cli.command import AllowMismatchOption, AllowPickleOption, DataOption, JsonOption, TrustedOption, examples
from mnistkit.errors import MnistkitError, ModelError, UsageError

if TYPE_CHECKING:  # loads numpy
    import numpy as np
    from numpy.typing import NDArray

    from mnistkit.registry.version import ModelVersion
    from mnistkit.trainer import Trainer

__all__ = ["EXAMPLES", "score", "trained_on"]

EXAMPLES = examples(
    "mnistkit score digit.png",
    "mnistkit score digits.npy --model sklearn_mnist@champion --json",
    "mnistkit score --index 0 --index 7",
)

_TOP = 3
_MOST_DRAWN = 12


def score(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Pictures, or .npy arrays.")] = None,
    *,
    index: Annotated[list[int] | None, typer.Option(metavar="N", min=0, help="Test image N; repeatable.")] = None,
    data: DataOption = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="NAME, NAME:3 or NAME@ALIAS.  [default: sklearn_mnist]")
    ] = None,
    allow_pickle: AllowPickleOption = False,
    trusted: TrustedOption = None,
    allow_version_mismatch: AllowMismatchOption = False,
    as_json: JsonOption = False,
) -> None:
    """Predict what pictures show.

    A picture of another size than the model's is cropped to the digit, scaled and centred as MNIST's were; a light
    background is inverted.
    """
    from mnistkit.config import find_config
    from mnistkit.registry.loading import load_model
    from mnistkit.registry.promotion import resolve_model
    from mnistkit.trainer import Trainer

    if not files and not index:
        raise UsageError("Nothing to score: name pictures or .npy files, or test images with --index N.")
    trainer = Trainer.from_config(data=data)
    version = resolve_model(trainer.models, find_config().model if model is None else model)
    if data is None:
        trainer = Trainer.from_config(data=trained_on(trainer, version))
    classifier = load_model(
        trainer.models,
        version,
        allow_pickle=allow_pickle,
        trusted=trusted or (),
        allow_version_mismatch=allow_version_mismatch,
    )
    names = _class_names(trainer, version)
    questions = [
        *_from_files(files or [], classifier, version),
        *_from_dataset(index or [], trainer, classifier, version),
    ]
    answers = _ask(classifier, questions, names)
    if as_json:
        output.print_json([{"model": version.id, **answer} for answer in answers])
        return
    output.note(f"{version.id} says:")
    for (_, image, _), answer in zip(questions, answers, strict=True):
        _show(answer, image if len(questions) <= _MOST_DRAWN else None)


_Question = tuple[str, "NDArray[np.uint8]", "int | None"]


def _from_files(files: list[Path], classifier: Any, version: ModelVersion) -> list[_Question]:
    if not files:
        return []
    from mnistkit.cli.images import read_images

    side = math.isqrt(_n_features(classifier, version))
    if side**2 != _n_features(classifier, version):
        raise ModelError(f"{version.id} takes {_n_features(classifier, version)} numbers, which are no square picture.")
    questions: list[_Question] = []
    for file in files:
        images = read_images(file, (side, side))
        names = [str(file)] if len(images) == 1 else [f"{file}[{i}]" for i in range(len(images))]
        questions += [(name, image, None) for name, image in zip(names, images, strict=True)]
    return questions


def _from_dataset(indices: list[int], trainer: Trainer, classifier: Any, version: ModelVersion) -> list[_Question]:
    if not indices:
        return []
    from mnistkit.cli.watch import fetched

    dataset = fetched(trainer)
    h, w = dataset.test.images.shape[1:]
    if h * w != _n_features(classifier, version):
        raise UsageError(
            f"{version.id} takes images of {_n_features(classifier, version)} pixels, but those of {dataset.name} "
            f"have {h}x{w}: name the data that it was trained on with --data."
        )
    for i in indices:
        if i >= len(dataset.test):
            raise UsageError(f"--index {i}: {dataset.name} has test images 0 to {len(dataset.test) - 1}.")
    return [(f"{dataset.name} test[{i}]", dataset.test.images[i], int(dataset.test.labels[i])) for i in indices]


def _n_features(classifier: Any, version: ModelVersion) -> int:
    found = getattr(classifier, "n_features_in_", None)
    if found is None or not hasattr(classifier, "predict"):
        raise ModelError(f"{version.id} is a {type(classifier).__name__}, no fitted classifier of images.")
    return int(found)


def trained_on(trainer: Trainer, version: ModelVersion) -> str | None:
    """The data of the run that made the model; None if that isn't known any more."""
    try:
        return trainer.compute.get(version.run_id).data if version.run_id else None
    except MnistkitError:
        return None


def _class_names(trainer: Trainer, version: ModelVersion) -> tuple[str, ...]:
    """What the run that made the model called its classes; empty if that isn't known any more."""
    from mnistkit.evaluation.results import run_evaluation

    if version.run_id is None:
        return ()
    try:
        evaluation = run_evaluation(trainer.run(version.run_id))
    except MnistkitError:
        return ()
    return tuple(each.name for each in evaluation.classes)


def _ask(classifier: Any, questions: list[_Question], names: tuple[str, ...]) -> list[dict[str, Any]]:
    import numpy as np

    X = np.stack([image.reshape(-1) for _, image, _ in questions]).astype(np.float32) / 255
    labels = classifier.predict(X)
    probabilities = classifier.predict_proba(X) if hasattr(classifier, "predict_proba") else None
    answers = []
    for i, (source, _, truth) in enumerate(questions):
        answer: dict[str, Any] = {"source": source, "label": int(labels[i]), "name": _name(labels[i], names)}
        if probabilities is not None:
            top = np.argsort(-probabilities[i], kind="stable")[:_TOP]
            answer["top"] = [
                {"name": _name(classifier.classes_[k], names), "probability": float(probabilities[i][k])} for k in top
            ]
        if truth is not None:
            answer |= {"truth": truth, "right": bool(labels[i] == truth)}
        answers.append(answer)
    return answers


def _name(label: Any, names: tuple[str, ...]) -> str:
    return names[int(label)] if 0 <= int(label) < len(names) else str(label)


def _show(answer: dict[str, Any], image: NDArray[np.uint8] | None) -> None:
    console = output.console()
    if image is not None and console.is_terminal:
        from mnistkit.cli.pictures import draw

        for line in draw(image, console):
            console.print(line, no_wrap=True, crop=False, overflow="ignore")
    top = ", ".join(f"{each['name']} {each['probability']:.3f}" for each in answer.get("top", ()))
    verdict = "" if "right" not in answer else "  right" if answer["right"] else f"  wrong: it is {answer['truth']}"
    output.say(f"{answer['source']}\t{answer['name']}{f'  ({top})' if top else ''}{verdict}")
