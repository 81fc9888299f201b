"""``mnistkit data import`` and ``export``: datasets from folders of pictures, and back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import FAILED, JsonOption, examples
from mnistkit.errors import UsageError

__all__ = ["EXPORT_EXAMPLES", "IMPORT_EXAMPLES", "export", "import_"]

IMPORT_EXAMPLES = examples(
    "mnistkit data import my-pictures --out my-data",
    "mnistkit data import scans --out my-data --invert --centre",
    "mnistkit data import my-pictures --out small --size 14 --test-fraction 0.1 --seed 7",
)
EXPORT_EXAMPLES = examples("mnistkit data export digits --out pictures", "mnistkit data export idx:my-data --out png")

_MAX_LISTED_FILES = 20

OutOption = Annotated[Path, typer.Option(metavar="DIR", help="The folder to make: not there yet, or empty.")]


def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Holds a folder per class, or train and test.")],
    *,
    out: OutOption,
    size: Annotated[str, typer.Option(metavar="N|HxW", help="Pixels of an image: 28, or 28x20.")] = "28",
    invert: Annotated[bool, typer.Option("--invert", help="Turn dark on light into light on dark.")] = False,
    centre: Annotated[
        bool, typer.Option("--centre", "--center", help="Crop to the ink and centre its mass, as MNIST was made.")
    ] = False,
    test_fraction: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Of each class, the share to test on.  [default: 0.2]", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed tests on others.")] = 0,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of the dataset.  [default: the folder's]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a dataset of PNG and JPEG files in class-named folders.

    Either FOLDER/CLASS/*.png, of which a part is chosen to test on, or FOLDER/train/CLASS/*.png and
    FOLDER/test/CLASS/*.png. Grey images are made of them, in four IDX files; the folders' names are the classes' names.

    Files that can't be read are left out and listed; then the exit code is 1, though the dataset was made.
    Ctrl-C leaves nothing.
    """
    from mnistkit.cli.watch import showing_progress
    from mnistkit.data.conversion import DARK_LEVEL
    from mnistkit.data.image_folder import import_pictures

    with showing_progress("Reading"):
        made = import_pictures(
            folder,
            out,
            size=_parse_size(size),
            invert=invert,
            centre=centre,
            test_fraction=test_fraction,
            seed=seed,
            name=name,
        )
    if as_json:
        listed = [{"file": output.safe(each.file), "reason": output.safe(each.reason)} for each in made.left_out]
        output.print_json({
            "folder": str(made.folder),
            "uri": made.uri,
            "train": made.train,
            "test": made.test,
            "classes": made.class_names,
            "unseen": made.unseen,
            "brightest": made.brightest,
            "left_out": listed,
        })  # fmt: skip
    else:
        output.say(str(out))
    output.note(f"{made.train} images to train on, {made.test} to test on, {len(made.class_names)} classes.")
    if made.light * 2 > made.train + made.test:
        advice = "without --invert they may be" if invert else "with --invert they would be, as MNIST is"
        output.note(f"{made.light} of the pictures are on a light ground, not light on dark: {advice}.")
    if made.brightest < DARK_LEVEL:
        output.note(
            f"The brightest pixel of all files is {made.brightest} of 255: they hold masks, or another range than they "
            "declare. Scale them to 0 to 255 first: models learn little from images this dark."
        )
    if made.unseen:
        output.note(f"No image to train on, so none that can be learned: {', '.join(made.unseen)}.")
    if len(made.class_names) - len(made.unseen) == 1:
        output.note("Only one class is left: a classifier needs two to tell apart.")
    if made.left_out:
        for each in made.left_out[:_MAX_LISTED_FILES]:
            output.note(f"left out: {each.file}: {each.reason}")
        more = (
            f" {len(made.left_out) - _MAX_LISTED_FILES} more are in --json."
            if len(made.left_out) > _MAX_LISTED_FILES
            else ""
        )
        count = "1 file was" if len(made.left_out) == 1 else f"{len(made.left_out)} files were"
        output.complain(f"{count} left out of {out}.{more}", "Note")
        raise typer.Exit(FAILED)


def export(
    source: Annotated[str, typer.Argument(metavar="URI", help="mnist, digits, idx:FOLDER... ('mnistkit data list').")],
    *,
    out: OutOption,
) -> None:
    """Write a dataset as PNG files: train/CLASS/00000.png and test/CLASS/00000.png.

    'mnistkit data import' makes the same dataset of them again, to the byte. Ctrl-C leaves nothing.
    """
    from mnistkit.cli.watch import fetched, showing_progress
    from mnistkit.data.image_folder import export_pictures
    from mnistkit.trainer.trainer import Trainer

    dataset = fetched(Trainer.from_config(data=source))
    with showing_progress("Writing"):
        export_pictures(dataset, out)
    output.note(f"{len(dataset.train)} images to train on, {len(dataset.test)} to test on.")
    output.say(str(out))


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text.strip().lower())
    if not match:
        raise UsageError(f"--size {text!r}: write 28, or height x width such as 28x20.")
    return int(match[1]), int(match[2] or match[1])
