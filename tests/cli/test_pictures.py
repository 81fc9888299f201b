"""Images as characters."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from mnistkit.cli.pictures import draw, draw_rows, halved

IMAGE = np.array([[255, 255, 0, 0], [255, 0, 255, 0], [0, 0, 0, 255]], dtype=np.uint8)


def _console(encoding: str = "utf-8", *, width: int = 80, color: bool = False) -> Console:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(file=stream, width=width, force_terminal=color, color_system="truecolor" if color else None)


@pytest.mark.parametrize(("encoding", "expected"), [("utf-8", ["█▀▄ ", "   ▀"]), ("ascii", [":'. ", "   '"])])
def test_two_pixels_make_a_character(encoding: str, expected: list[str]) -> None:
    """Without colour each pixel is on or off; without Unicode dots do; an odd last row is completed."""
    assert [line.plain for line in draw(IMAGE, _console(encoding))] == expected


def test_colour_shows_every_shade() -> None:
    """With colour each character has the upper pixel's shade before the lower one's."""
    (line,) = draw(np.array([[7], [9]], dtype=np.uint8), _console(color=True))
    assert [str(span.style) for span in line.spans] == ["#070707 on #090909"]


@pytest.mark.parametrize(("width", "rows"), [(16, 1), (15, 2), (10, 2), (4, 3), (1, 3)])
def test_rows_are_as_wide_as_the_console(width: int, rows: int) -> None:
    """Three images of 4 columns take 16 columns side by side, and more rows where there is less room."""
    lines = draw_rows([IMAGE] * 3, ["a", "b", "c"], _console(width=width))
    assert len(lines) == rows * 4
    assert max(line.cell_len for line in lines) <= max(width, 4)


def test_wide_captions_keep_their_distance() -> None:
    """A letter that takes two columns counts as two: captions that are wider than the images move these apart."""
    console = Console(width=40, color_system=None, force_terminal=True)
    above, *_ = draw_rows([np.zeros((4, 4), np.uint8)] * 2, ["漢字漢字", "b"], console)
    assert above.plain == "漢字漢字  b"


def test_halving_takes_the_mean() -> None:
    """Each pixel of the half is the mean of four; an odd last row or column is left out."""
    image = np.arange(15, dtype=np.uint8).reshape(3, 5)
    assert halved(image).tolist() == [[3, 5]]


def test_captions_cannot_steer_the_terminal() -> None:
    """Control characters and line breaks in a caption are written out: every image keeps its lines."""
    lines = draw_rows([IMAGE], ["a\x1b[2J\nb"], _console())
    assert lines[0].plain == "a\\x1b[2J b"
    assert len(lines) == 4
