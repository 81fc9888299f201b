"""``mnistkit data export``: datasets as folders of image files."""

from __future__ import annotations

from typing import Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import examples
from mnistkit.cli.importing import OutOption

__all__ = ["EXAMPLES", "export"]

EXAMPLES = examples("mnistkit data export digits --out pictures", "mnistkit data export idx:my-data --out png")


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
