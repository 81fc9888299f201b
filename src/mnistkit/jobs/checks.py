"""The values of the fields of a job: converted where that loses nothing, and refused where they can't be."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Mapping
from typing import Literal, SupportsIndex, cast, get_args

from mnistkit.errors import UsageError
from mnistkit.utils.arguments import check_type
from mnistkit.utils.names import check_file, check_name
from mnistkit.utils.text import is_encodable

__all__ = [
    "ModelFormat",
    "RetryCause",
    "arguments",
    "entry_script",
    "experiment_name",
    "fit_name",
    "limit",
    "model_format",
    "retries",
    "retry_causes",
    "seed",
    "source_folder",
    "tags",
    "timeout",
]

ModelFormat = Literal["skops", "joblib", "linear"]
"""The format of a model file: see `mnistkit.models.save_model`."""

RetryCause = Literal["error", "killed", "timeout"]
"""The bad ends of an attempt: by an exception or exit code, by a signal that wasn't ours, by its timeout."""

_MAX_SEED = 2**32 - 1
_MAX_NAME_CHARS = 200


def experiment_name(value: str) -> str:
    """Return the name of an experiment."""
    return check_name(value, "experiment name")


def _whole(value: SupportsIndex) -> int | None:
    """Return a whole number, numpy's too, as Python's; None if it isn't one."""
    try:
        return operator.index(value)
    except TypeError:
        return None


def seed(value: SupportsIndex) -> int:
    """Return a seed from 0 to 2**32 - 1."""
    number = _whole(value)
    if number is None or not 0 <= number <= _MAX_SEED:
        raise UsageError(f"seed={value!r}: use a whole number from 0 to {_MAX_SEED}.")
    return number


def limit(value: SupportsIndex | None) -> int | None:
    """Return a number of training images of at least 1; None for all."""
    if value is None:
        return None
    number = _whole(value)
    if number is None or number < 1:
        raise UsageError(f"limit={value!r}: use at least 1 training image, or None for all.")
    return number


def model_format(value: ModelFormat) -> ModelFormat:
    """Return the format of a model file."""
    if value not in get_args(ModelFormat):
        raise UsageError(f"model_format={value!r}: use one of {', '.join(get_args(ModelFormat))}.")
    return value


def timeout(value: float | None) -> float | None:
    """Return seconds above 0; None for no limit."""
    if value is None:
        return None
    try:
        is_right = 0 < value < math.inf
    except TypeError:
        is_right = False
    if not is_right:
        raise UsageError(f"timeout={value!r}: use seconds above 0, or None for no limit.")
    return float(value)


def retries(value: SupportsIndex) -> int:
    """Return a number of retries of at least 0."""
    number = _whole(value)
    if number is None or number < 0:
        raise UsageError(f"retries={value!r}: use 0 for a single attempt, or how many more to allow.")
    return number


def tags(values: Mapping[str, str]) -> dict[str, str]:
    """Return tags as texts by key."""
    if not isinstance(values, Mapping):
        raise UsageError(f"tags={values!r:.60}: use a dict of text by key.")
    texts = {str(key): str(value) for key, value in values.items()}
    try:
        "".join([*texts, *texts.values()]).encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"tags={texts!r:.60}: half of a character can't be written: {error.reason}.") from None
    return texts


def retry_causes(values: Iterable[str]) -> tuple[RetryCause, ...]:
    """Return the bad ends that are worth another attempt."""
    check_type(values, Iterable, "retry_on", f"a tuple of {', '.join(get_args(RetryCause))}")
    causes = tuple(values)
    for cause in causes:
        if cause not in get_args(RetryCause):
            raise UsageError(f"retry_on: there is no {cause!r}; there are {', '.join(get_args(RetryCause))}.")
    return cast("tuple[RetryCause, ...]", causes)


def fit_name(value: str) -> str:
    """Return the name of a fit: text of 1 to 200 characters."""
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= _MAX_NAME_CHARS or not is_encodable(value):
        raise UsageError(f"name={value!r:.80}: use a text of 1 to {_MAX_NAME_CHARS} characters.")
    return value.strip()


def arguments(values: Iterable[object]) -> tuple[str, ...]:
    """Return the arguments of a script as text."""
    check_type(values, (list, tuple), "arguments", "a list or a tuple, an argument each")
    return tuple(str(value) for value in values)


def source_folder(value: str | os.PathLike[str]) -> str:
    """Return the path of a script's folder."""
    check_type(value, (str, os.PathLike), "source_directory", "a path, as text or a pathlib.Path")
    return os.fspath(value)


def entry_script(value: str) -> str:
    """Return the path of a script relative to its folder."""
    return str(check_file(value, "entry script"))
