"""Labels of any usual form as those of a dataset, with the names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnistkit.errors import DataFormatError, UsageError

__all__ = ["as_labels"]

_MAX_LABEL = 255
_MAX_LISTED_LABELS = 10
_EXPECTED = "labels are whole numbers, or texts; leave none open"


def as_labels(
    values: Sequence[Any], class_names: Sequence[str] | None, *, names: Sequence[str]
) -> tuple[list[NDArray[np.uint8]], tuple[str, ...]]:
    """Return labels as a dataset holds them, and the names of the classes.

    Args:
        values: One or several sequences of labels, ``(n,)`` or ``(n, 1)``: whole numbers from 0 without a gap, or
            texts, which become the names of the classes in their order. Or one-hot rows ``(n, k)``, of which a table's
            columns name the classes.
        class_names: One per label, label 0 first; None for the texts themselves, or for the numbers. With names, a
            number without an example is no gap.
        names: Of the arguments, for messages.

    Raises:
        DataFormatError: A label is neither, is missing, or has no name; or numbers are left out.
        UsageError: ``class_names`` are no texts, or one is there twice.
    """
    columns = [_column(value, name) for value, name in zip(values, names, strict=True)]
    known = None if class_names is None else _checked_names(class_names)
    kinds = {column.dtype.kind for column in columns}
    if len(kinds) > 1:
        raise DataFormatError(f"{names[0]} holds numbers and {names[-1]} texts, or the reverse: use one kind.")
    if kinds == {"U"}:
        return _from_texts(columns, known, names)
    return _from_numbers(columns, known, names)


def _column(values: Any, name: str) -> NDArray[Any]:
    """Return labels as int64 or text."""
    array = _flat(values, name)
    if array.dtype.kind == "S":
        array = _decoded(array, name)
    if array.dtype.kind == "O":
        array = _of_objects(array.tolist(), name)
    if array.dtype.kind == "f":
        array = _whole(array, name)
    if array.dtype.kind not in "biuU":
        raise DataFormatError(f"{name} holds {array.dtype} values: {_EXPECTED}.")
    if array.dtype.kind == "U":
        empty = np.flatnonzero(np.char.strip(array) == "")
        if len(empty):
            raise DataFormatError(f"{name} holds an empty text, at {empty[0]}: {_EXPECTED}.")
        return array
    if array.dtype.kind == "u" and int(array.max()) > _MAX_LABEL:  # beyond int64
        raise DataFormatError(f"{name} holds a label {array.max()}: use 0 to {_MAX_LABEL}, or texts.")
    return array.astype(np.int64)


def _flat(values: Any, name: str) -> NDArray[Any]:
    """Return one label per image: columns and one-hot rows as what they mean."""
    array = _array(values, name)
    if array.ndim == 2 and array.shape[1] == 1:  # noqa: PLR2004 - a column
        array = array[:, 0]
    elif array.ndim == 2 and _is_one_hot(array):  # noqa: PLR2004 - rows
        places = array.argmax(axis=1)
        columns = getattr(values, "columns", None)
        array = places if columns is None else np.array([str(each) for each in columns])[places]
    if array.ndim != 1 or not len(array):
        raise DataFormatError(
            f"{name} has shape {array.shape}: expected one label per image, shape (n,), or one-hot rows, (n, classes)."
        )
    return array


def _array(values: Any, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    except (TypeError, ValueError, RuntimeError) as error:  # the last from a tensor that has gradients
        reason = f"{error!s:.200}".rstrip(".")
        raise DataFormatError(f"{name} can't be made an array: {reason}; {_EXPECTED}.") from error
    if np.ma.is_masked(values):
        raise DataFormatError(f"{name} has masked values: {_EXPECTED}.")
    if array.ndim == 0:
        raise DataFormatError(f"{name} is a {type(values).__name__}: expected one label per image, shape (n,).")
    if array.dtype.kind == "U" and isinstance(values, (list, tuple)):  # numpy makes a text of NaN among texts
        array = np.array(values, dtype=object)
    return array


def _is_one_hot(array: NDArray[Any]) -> bool:
    if array.dtype.kind not in "buif" or 0 in array.shape:
        return False
    return bool(((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all())


def _decoded(array: NDArray[Any], name: str) -> NDArray[Any]:
    try:
        return np.char.decode(array, "utf-8")
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{name} holds bytes that aren't UTF-8: {error}. Decode them to texts.") from error


def _of_objects(listed: list[Any], name: str) -> NDArray[Any]:
    if all(isinstance(each, str) for each in listed):
        return np.array(listed, dtype=np.str_)
    if all(isinstance(each, bytes) for each in listed):
        return _decoded(np.array(listed, dtype=np.bytes_), name)
    numbers = (int, float, np.integer, np.floating, np.bool_)
    for place, each in enumerate(listed):
        if not isinstance(each, (str, *numbers)) or each != each:  # noqa: PLR0124 - NaN
            raise DataFormatError(f"{name} holds {each!r:.40}, at {place}: {_EXPECTED}.")
    if any(isinstance(each, str) for each in listed):
        raise DataFormatError(f"{name} holds numbers and texts: use one kind.")
    return np.array(listed)


def _whole(array: NDArray[Any], name: str) -> NDArray[np.int64]:
    odd = np.flatnonzero(~(np.isfinite(array) & (array == np.round(array))))
    if len(odd):
        raise DataFormatError(f"{name} holds {array[odd[0]]:g}, at {odd[0]}: {_EXPECTED}.")
    return array.astype(np.int64)


def _from_texts(
    columns: Sequence[NDArray[Any]], class_names: tuple[str, ...] | None, names: Sequence[str]
) -> tuple[list[NDArray[np.uint8]], tuple[str, ...]]:
    found = sorted({text for column in columns for text in column.tolist()})
    if all(text.isdecimal() for text in found):
        found.sort(key=int)
    classes = tuple(found) if class_names is None else class_names
    unknown = [text for text in found if text not in classes]
    if unknown:
        raise DataFormatError(f"{names[0]} holds {unknown[0]!r:.40}, which isn't one of class_names.")
    _check_count(len(classes), names[0])
    number = {text: label for label, text in enumerate(classes)}
    return [np.array([number[text] for text in column.tolist()], dtype=np.uint8) for column in columns], classes


def _from_numbers(
    columns: Sequence[NDArray[Any]], class_names: tuple[str, ...] | None, names: Sequence[str]
) -> tuple[list[NDArray[np.uint8]], tuple[str, ...]]:
    found = np.unique(np.concatenate(columns))
    lowest, highest = int(found[0]), int(found[-1])
    if lowest < 0 or highest > _MAX_LABEL:
        raise DataFormatError(f"{names[0]} holds labels from {lowest} to {highest}: use 0 to {_MAX_LABEL}, or texts.")
    if class_names is None:
        gaps = sorted(set(range(highest + 1)) - set(found.tolist()))
        if gaps:
            more = ", ..." if len(gaps) > _MAX_LISTED_LABELS else ""
            listed = ", ".join(map(str, gaps[:_MAX_LISTED_LABELS])) + more
            raise DataFormatError(
                f"{names[0]} has no label {listed}, but {highest}: name every class with class_names=, one per label "
                "from 0; or give texts as labels, such as y.astype(str)."
            )
        class_names = tuple(str(label) for label in range(max(highest, 1) + 1))
    elif highest >= len(class_names):
        raise DataFormatError(
            f"{names[0]} holds a label {highest}, but there are only {len(class_names)} class names, for labels 0 to "
            f"{len(class_names) - 1}: name every class."
        )
    return [column.astype(np.uint8) for column in columns], class_names


def _checked_names(class_names: Sequence[str]) -> tuple[str, ...]:
    is_listed = not isinstance(class_names, (str, dict)) and hasattr(class_names, "__len__")
    if not is_listed or not len(class_names) or not all(isinstance(name, str) and name.strip() for name in class_names):
        raise UsageError(f"class_names={class_names!r:.80}: use a list of texts, one per label.")
    texts = tuple(map(str, class_names))  # also of numpy's texts
    twice = [text for text in texts if texts.count(text) > 1]
    if twice:
        raise UsageError(f"class_names has {twice[0]!r:.40} twice: use a name of its own for each class.")
    _check_count(len(texts), "class_names")
    return texts


def _check_count(n: int, name: str) -> None:
    if n > _MAX_LABEL + 1:
        raise DataFormatError(f"{name} has {n} classes: a dataset has at most {_MAX_LABEL + 1}.")
