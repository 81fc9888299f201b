"""The facts that are registered with the files of a model, as one value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import Attribute, field, frozen

from mnistkit.errors import UsageError
from mnistkit.models.files import FORMATS
from mnistkit.models.input import InputSpec

__all__ = ["ModelInfo"]


def _check_format(_: object, __: Attribute[str], value: Any) -> None:
    if value not in FORMATS:
        raise UsageError(f"format={value!r:.80}: use one of {', '.join(FORMATS)}.")


def _check_text(_: object, attribute: Attribute[str], value: Any) -> None:
    if value is None and attribute.default is None:
        return
    if not isinstance(value, str):
        raise UsageError(f"{attribute.name} is {value!r:.80}, not a text: write {str(value)!r:.80}.")
    _check_encodable(attribute.name, value)


def _check_input(_: object, __: Attribute[InputSpec | None], value: Any) -> None:
    if value is not None and not isinstance(value, InputSpec):
        raise UsageError(f"input is {value!r:.80}: use an InputSpec.")


def _metrics(values: Mapping[str, float] | None) -> dict[str, float]:
    """Return finite numbers: JSON has no others, and no comparison of models has a use for them."""
    metrics: dict[str, float] = {}
    for name, value in _keyed(values, "metric").items():
        try:
            metrics[name] = float(value)
        except OverflowError:
            raise UsageError(f"The metric {name!r:.80} is too large for a float: leave it out.") from None
        except (TypeError, ValueError):
            raise UsageError(f"The metric {name!r:.80} is {value!r:.80}, not a number: register it as a tag.") from None
        if not math.isfinite(metrics[name]):
            raise UsageError(f"The metric {name!r:.80} is {value}: registries keep finite numbers only. Leave it out.")
    return metrics


def _tags(values: Mapping[str, str] | None) -> dict[str, str]:
    tags = _keyed(values, "tag")
    for name, value in tags.items():
        if not isinstance(value, str):
            raise UsageError(f"The tag {name!r:.80} is {value!r:.80}, not a text: write {str(value)!r:.80}.")
        _check_encodable(f"The tag {name!r:.80}", value)
    return tags


@frozen(kw_only=True)
class ModelInfo:
    """The facts that are registered with the files of a model; checked when it is made, for every registry alike.

    Attributes:
        format: How the files are loaded: one of `mnistkit.models.FORMATS`.
        metrics: Finite numbers by name. NaN and infinity are refused: leave them out.
        tags: Free text by key.
        description: Free text.
        run_id: The run that made the model, if any.
        input: How the images of its training data were prepared, and which data that was, if known.

    Raises:
        UsageError: The format is unknown, a metric isn't a finite number, or a text isn't one that UTF-8 can write.
    """

    format: str = field(validator=_check_format)
    metrics: Mapping[str, float] = field(factory=dict, converter=_metrics)
    tags: Mapping[str, str] = field(factory=dict, converter=_tags)
    description: str = field(default="", validator=_check_text)
    run_id: str | None = field(default=None, validator=_check_text)
    input: InputSpec | None = field(default=None, validator=_check_input)


def _keyed(values: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    for key in values or {}:
        if not isinstance(key, str):
            raise UsageError(f"The {what} {key!r:.80} has no text for a name: use {str(key)!r:.80}.")
        _check_encodable(f"The name of the {what} {key!r:.80}", key)
    return dict(values or {})


def _check_encodable(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # a lone surrogate: no file and no service could keep it
        raise UsageError(
            f"{what} can't be written as UTF-8: {error}. Leave {error.object[error.start]!r} out."
        ) from None
