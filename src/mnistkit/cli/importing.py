"""``mnistkit data import``: datasets from folders of images, CSV files, arrays and parquet files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnistkit.cli import output
from mnistkit.cli.command import JsonOption, examples, failing
from mnistkit.errors import NotFoundError, UsageError

if TYPE_CHECKING:  # loads numpy
    from mnistkit.data.importing.outcome import Imported

__all__ = ["EXAMPLES", "OutOption", "import_"]

EXAMPLES = examples(
    "mnistkit data import my-pictures --out my-data",
    "mnistkit data import scans --out my-data --invert --centre",
    "mnistkit data import train.csv --out my-data --test held-out.csv",
    "mnistkit data import mnist.npz --out my-data",
    "mnistkit data import images.npy labels.npy --out my-data --test-fraction 0.1 --seed 7",
    "mnistkit data import train-00000.parquet --test test-00000.parquet --out my-data",
)

_MAX_LISTED_FILES = 20
_FOLDER_SIZE = "28"
_N_NPY_FILES = (2, 4)
_KINDS: Mapping[str, frozenset[str]] = {
    "folder of images": frozenset({"size", "invert", "centre"}),
    "csv": frozenset({"size", "label", "header", "test", "classes"}),
    "npz": frozenset({"size", "arrays", "classes"}),
    "npy": frozenset({"size", "classes"}),
    "parquet": frozenset({"size", "label", "image", "test", "classes"}),
}
"""The options that each kind of source has, beside those that all have."""

OutOption = Annotated[Path, typer.Option(metavar="DIR", help="The folder to make: not there yet, or empty.")]


def import_(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER|FILE...", help="A folder of images; or .csv, .npz or .parquet files; or two .npy files."
        ),
    ],
    *,
    out: OutOption,
    size: Annotated[
        str | None,
        typer.Option(metavar="N|HxW", help="Pixels of an image: 28, or 28x20.  [default: 28; of rows, a square]"),
    ] = None,
    invert: Annotated[bool, typer.Option("--invert", help="Turn dark on light into light on dark.")] = False,
    centre: Annotated[
        bool, typer.Option("--centre", "--center", help="Crop to the ink and centre its mass, as MNIST was made.")
    ] = False,
    test: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="The images to test on, in a file alike; repeatable.")
    ] = None,
    test_fraction: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Of each class, the share to test on.  [default: 0.2]", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed tests on others.")] = 0,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The labels' column: a name, first or last.")
    ] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="A CSV file has a line of names, or none.")
    ] = None,
    image: Annotated[str | None, typer.Option(metavar="COLUMN", help="The images' column of a parquet file.")] = None,
    arrays: Annotated[
        str | None,
        typer.Option(metavar="X,Y[,X2,Y2]", help="An .npz file's arrays: images, labels, and those to test on."),
    ] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="The names of the classes, label 0 first.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of the dataset.  [default: the source's]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a dataset of a folder of images, a CSV file, arrays, or a parquet file.

    A folder has FOLDER/CLASS/*.png, of which a part is chosen to test on, or FOLDER/train/CLASS/*.png and
    FOLDER/test/CLASS/*.png. A CSV file has a row per image: its label, and its pixels. An .npz file has x_train,
    y_train, x_test and y_test, or the arrays that are named. Four IDX files are made of them.

    Images that can't be read are left out and listed; then the exit code is 1, though the dataset was made. A table
    with a cell that can't be right is refused. Ctrl-C leaves nothing.
    """
    from mnistkit.cli.watch import showing_progress

    kind = _kind(sources)
    given: dict[str, Any] = {
        "size": size,
        "invert": invert or None,
        "centre": centre or None,
        "label": label,
        "header": header,
    }
    given |= {"image": image, "arrays": arrays, "test": test or None, "classes": classes}
    options = {key: value for key, value in given.items() if value is not None}
    _check_options(kind, options)
    common = {"test_fraction": test_fraction, "seed": seed, "name": name}
    with showing_progress("Reading"):
        made = _import(kind, sources, out, options, common)
    _report(made, out, is_json=as_json, is_folder=kind == "folder of images", invert=invert)


def _kind(sources: list[Path]) -> str:
    from mnistkit.data.importing.commands import is_archive, kind_of

    for source in sources:
        if is_archive(source) and not source.is_dir():
            raise UsageError(f"{source} is an archive: unpack it, and import what it holds.")
    kinds = {kind_of(source) for source in sources}
    if len(sources) == 1 and (kinds == {None} or sources[0].is_dir()):
        if sources[0].suffix and not sources[0].exists():
            raise NotFoundError(f"There is no file or folder {sources[0]}.")
        if sources[0].is_file():
            raise UsageError(f"{sources[0]} is no folder, and doesn't end in .csv, .npz, .npy or .parquet.")
        return "folder of images"
    (kind, *others) = kinds
    if others or kind is None:
        raise UsageError("Name one folder of images, or files of one kind: .csv, .npz, .npy or .parquet.")
    if kind == "npy" and len(sources) not in _N_NPY_FILES:
        raise UsageError("Name two .npy files, images and labels; or four, with those to test on after them.")
    if kind == "npz" and len(sources) > 1:
        raise UsageError("Name one .npz file.")
    return kind


def _check_options(kind: str, options: Mapping[str, Any]) -> None:
    for option in options:
        if option not in _KINDS[kind]:
            kinds = [each for each, known in _KINDS.items() if option in known]
            shown = ", ".join(each if each.startswith("folder") else f".{each}" for each in kinds)
            raise UsageError(f"--{option} is for: {shown}.")


def _import(kind: str, sources: list[Path], out: Path, options: dict[str, Any], common: dict[str, Any]) -> Imported:
    from mnistkit import data

    size = options.pop("size", None)
    if kind == "folder of images":
        return data.import_pictures(sources[0], out, size=_parse_size(size or _FOLDER_SIZE), **options, **common)
    shape = None if size is None else _parse_size(size)
    classes = options.pop("classes", None)
    names = None if classes is None else [each.strip() for each in classes.split(",")]
    if kind == "npy":
        options |= dict(zip(("test_images", "test_labels"), sources[2:], strict=False))
        return data.import_npy(sources[0], sources[1], out, shape=shape, class_names=names, **options, **common)
    if kind == "npz":
        arrays = options.get("arrays")
        chosen = None if arrays is None else [each.strip() for each in arrays.split(",")]
        return data.import_npz(sources[0], out, arrays=chosen, shape=shape, class_names=names, **common)
    read = data.import_csv if kind == "csv" else data.import_parquet
    return read(sources, out, shape=shape, class_names=names, **options, **common)


def _report(made: Imported, out: Path, *, is_json: bool, is_folder: bool, invert: bool) -> None:
    with failing(bool(made.left_out)):
        if is_json:
            _print_json(made)
        else:
            output.say(str(out))
        output.note(f"{made.train} images to train on, {made.test} to test on, {len(made.class_names)} classes.")
        for note in _remarks(made, is_folder=is_folder, invert=invert):
            output.note(note)
        _note_left_out(made, out, "file" if is_folder else "image")


def _note_left_out(made: Imported, out: Path, what: str) -> None:
    if not made.left_out:
        return
    for each in made.left_out[:_MAX_LISTED_FILES]:
        output.note(f"left out: {each.file}: {each.reason}")
    n_more = len(made.left_out) - _MAX_LISTED_FILES
    more = f" {n_more} more are in --json." if n_more > 0 else ""
    count = f"1 {what} was" if len(made.left_out) == 1 else f"{len(made.left_out)} {what}s were"
    output.complain(f"{count} left out of {out}.{more}", "Note")


def _print_json(made: Imported) -> None:
    listed = [{"file": output.safe(each.file), "reason": output.safe(each.reason)} for each in made.left_out]
    output.print_json({
        "folder": str(made.folder),
        "uri": made.uri,
        "train": made.train,
        "test": made.test,
        "classes": made.class_names,
        "unseen": made.unseen,
        "brightest": made.brightest,
        "unused": made.unused,
        "left_out": listed,
    })  # fmt: skip


def _remarks(made: Imported, *, is_folder: bool, invert: bool) -> list[str]:
    """Return what is odd about a dataset, though it was made."""
    from mnistkit.data.conversion import DARK_LEVEL

    found = []
    if made.unused:
        found.append(f"Not used: {', '.join(made.unused[:_MAX_LISTED_FILES])}.")
    if made.light * 2 > made.train + made.test:
        advice = "without --invert they may be" if invert else "with --invert they would be, as MNIST is"
        tail = f": {advice}" if is_folder else ", as MNIST is: a model takes images as it was trained on them"
        found.append(f"{made.light} of the images are on a light ground, not light on dark{tail}.")
    if made.brightest < DARK_LEVEL:
        found.append(
            f"The brightest pixel of all files is {made.brightest} of 255: they hold masks, or another range than they "
            "declare. Scale them to 0 to 255 first: models learn little from images this dark."
        )
    if made.unseen:
        found.append(f"No image to train on, so none that can be learned: {', '.join(made.unseen)}.")
    if len(made.class_names) - len(made.unseen) == 1:
        found.append("Only one class is left: a classifier needs two to tell apart.")
    return found


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text.strip().lower())
    if not match:
        raise UsageError(f"--size {text!r}: write 28, or height x width such as 28x20.")
    return int(match[1]), int(match[2] or match[1])
