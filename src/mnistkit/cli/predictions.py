"""Output of ``mnistkit predict``: lines, JSON, a table, and an image of what the model saw."""

from __future__ import annotations

import csv
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mnistkit.cli import output
from mnistkit.cli.command import FAILED

if TYPE_CHECKING:  # loads numpy
    import numpy as np
    from numpy.typing import NDArray

    from mnistkit.evaluation.predictions import Failure, Predictions

__all__ = ["PredictionOutput"]

_MAX_DRAWN_IMAGES = 12
_MAX_WRITTEN_IMAGES = 400
_MAX_LISTED_FAILURES = 20
_COLUMNS = 20
_ZOOM = 4


class PredictionOutput:
    """Prints predictions as they come and writes them to a table, so that any number of them takes bounded memory.

    JSON alone is kept until the end.
    """

    def __init__(
        self, *, model: str, n_top: int, is_json: bool, shows: bool, out: Path | None, csv_file: Path | None
    ) -> None:
        self._model, self._n_top, self._is_json, self._shows = model, n_top, is_json, shows
        self._out = out
        self._table = None if csv_file is None else _CsvTable(csv_file)
        self._rows: list[dict[str, Any]] = []
        self._n_predicted = 0
        self._failures: list[Failure] = []
        self._images: list[NDArray[np.uint8]] = []
        self._n_drawn = 0

    def close(self) -> None:
        """Remove a table that isn't finished."""
        if self._table:
            self._table.close()

    def add(self, predictions: Predictions) -> None:
        """Print some predictions."""
        for i in range(len(predictions)):
            row = _row(predictions, i, self._n_top)
            self._n_predicted += 1
            if self._table:
                self._table.add(row)
            if self._is_json:
                self._rows.append(row)
            else:
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
        if self._table:
            self._table.finish()
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


class _CsvTable:
    """A CSV file that is written row by row, and appears under its name as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex}.part")
        self._stream = self._partial.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._stream, lineterminator="\n")
        self._n_top: int | None = None

    def add(self, row: dict[str, Any]) -> None:
        """Write a row; all of one model have as many classes as the first."""
        top = row.get("top", ())
        self._begin(len(top))
        cells = [value for each in top for value in (each["name"], each["probability"])]
        self._writer.writerow([row["source"], row["label"], row["name"], *cells])

    def finish(self) -> None:
        """Put the file in its place."""
        self._begin(0)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._partial.replace(self._path)
        output.note(f"Wrote {self._path}.")

    def close(self) -> None:
        """Remove what isn't finished."""
        self._stream.close()
        self._partial.unlink(missing_ok=True)

    def _begin(self, n_top: int) -> None:
        if self._n_top is None:
            self._n_top = n_top
            heads = [f"{what} {k}" for k in range(1, n_top + 1) for what in ("class", "probability")]
            self._writer.writerow(["source", "label", "name", *heads])


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
