"""Draws the logo: a three of scikit-learn's embedded digits, pixel by pixel.

Run it with ``python docs/images/make_logo.py``; it writes ``docs/_static/logo.svg``.
"""

from __future__ import annotations

from pathlib import Path

from mnistkit import load_dataset

_INDEX = 10  # a three with a good shape
_CELL = 12
_COLOUR = "#2f81d6"  # stands out on white and on black


def logo() -> str:
    """The logo as SVG: one rounded square per pixel that isn't empty, the darker the inkier."""
    image = load_dataset("digits").train.images[_INDEX]
    height, width = image.shape
    squares = [
        f'<rect x="{x * _CELL + 1}" y="{y * _CELL + 1}" width="{_CELL - 2}" height="{_CELL - 2}" rx="3" '
        f'fill-opacity="{image[y, x] / 255:.2f}"/>'
        for y in range(height)
        for x in range(width)
        if image[y, x] > 0
    ]
    box = f'viewBox="0 0 {width * _CELL} {height * _CELL}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} fill="{_COLOUR}">\n<title>mnistkit</title>'
    return "\n".join([head, *squares, "</svg>\n"])


if __name__ == "__main__":
    Path(__file__).parents[1].joinpath("_static", "logo.svg").write_text(logo(), encoding="utf-8")
