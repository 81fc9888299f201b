"""The input of a model: the way from an image to one row of numbers."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from attrs import Attribute, field, frozen

from mnistkit.errors import UsageError

__all__ = ["INPUT_FILE", "InputSpec"]

INPUT_FILE: Final = "input.json"
"""The name of the file, among a run's outputs, that holds the `InputSpec` of its model as JSON."""

_MAX_SIDE_PIXELS = 1 << 16
_SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")


def _side(_: object, attribute: Attribute[int], value: Any) -> None:
    if type(value) is not int or not 1 <= value <= _MAX_SIDE_PIXELS:
        raise UsageError(f"{attribute.name}={value!r:.80}: use a number of pixels from 1 to {_MAX_SIDE_PIXELS}.")


def _scale(_: object, attribute: Attribute[float], value: Any) -> None:
    if type(value) not in {int, float} or not (math.isfinite(value) and value > 0):
        raise UsageError(f"{attribute.name}={value!r:.80}: use a finite number above 0, such as 255.")


def _flag(_: object, attribute: Attribute[bool], value: Any) -> None:
    if type(value) is not bool:
        raise UsageError(f"{attribute.name}={value!r:.80}: use True or False.")


def _text(_: object, attribute: Attribute[Any], value: Any) -> None:
    for text in value if isinstance(value, tuple) else (value,):
        if not isinstance(text, str) or any("\ud800" <= c <= "\udfff" for c in text):
            raise UsageError(f"{attribute.name}: {text!r:.80} isn't a text that UTF-8 can write.")


def _sha256(_: object, attribute: Attribute[str], value: Any) -> None:
    if value and not (isinstance(value, str) and _SHA256_PATTERN.fullmatch(value)):
        raise UsageError(f"{attribute.name}={value!r:.80}: use the 64 lower-case digits of a sha256.")


def _names(values: Any) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


@frozen(kw_only=True)
class InputSpec:
    """The preparation of the images that a model was trained on, so that others can be prepared in the same way.

    Attributes:
        height: Of an image, in pixels.
        width: Of an image, in pixels. A row of the model's input has ``height * width`` numbers, row by row.
        scale: Each pixel, 0 to 255, is divided by this: 255 makes it 0 to 1.
        inverted: Light and dark were swapped when the images were imported: dark ink on light paper became light
            ink on a dark ground.
        centred: The ink was cropped, scaled and centred by its mass when the images were imported.
        class_names: One per label, label 0 first; empty if the labels are all there is.
        dataset: The name of the dataset.
        dataset_sha256: The dataset's own sha256, in lower-case hexadecimal; empty if unknown.

    Raises:
        UsageError: A value isn't possible; names the field.
    """

    height: int = field(validator=_side)
    width: int = field(validator=_side)
    scale: float = field(default=255.0, validator=_scale)
    inverted: bool = field(default=False, validator=_flag)
    centred: bool = field(default=False, validator=_flag)
    class_names: tuple[str, ...] = field(default=(), converter=_names, validator=_text)
    dataset: str = field(default="", validator=_text)
    dataset_sha256: str = field(default="", validator=_sha256)

    @property
    def n_features(self) -> int:
        """Return the length of one row of the model's input."""
        return self.height * self.width

    @property
    def size(self) -> str:
        """Return the size of an image in words, such as "28 by 28 pixels" with the sign for it."""
        return f"{self.height} × {self.width} pixels"  # noqa: RUF001 - the sign for sizes

    @property
    def preparation(self) -> str:
        """Return in words what is done to an image: ``"cropped, inverted and centred"``."""
        if self.centred:
            return "cropped, inverted and centred" if self.inverted else "cropped and centred"
        return "inverted if on a light ground, scaled" if self.inverted else "scaled, light and dark as they are"

    def differences(self, other: InputSpec) -> str:
        """Return in words in what two models' inputs and data differ; empty if nothing keeps them from being compared.

        Another release of the same dataset is no difference, nor are the same images under another name.
        """
        is_same_data = self.dataset_sha256 and self.dataset_sha256 == other.dataset_sha256
        pairs = (
            ("images of", self.size, other.size),
            ("the dataset", "" if is_same_data else self.dataset, other.dataset),
            ("the classes", ", ".join(self.class_names), ", ".join(other.class_names)),
        )
        return "; ".join(f"{what} {a:.80}, not {b:.80}" for what, a, b in pairs if a and b and a != b)
