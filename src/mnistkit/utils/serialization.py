"""Values to JSON and back: one converter for all of mnistkit's files. Unknown keys and other types are refused."""

from __future__ import annotations

import json
import math
from collections import abc
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from cattrs import BaseValidationError, Converter, transform_error
from cattrs.errors import IterableValidationError, IterableValidationNote
from cattrs.preconf.json import make_converter

from mnistkit.errors import DataFormatError
from mnistkit.utils.documents import MAX_RECORD_BYTES, parse_json, read_text

__all__ = ["from_json", "read_json", "to_json"]

T = TypeVar("T")

_MAX_MESSAGE_CHARS = 2000


def to_json(value: object, as_type: Any = None) -> bytes:
    """``value`` as indented UTF-8 JSON with sorted keys, so that equal values give equal bytes.

    Args:
        value: An attrs value, or containers of them.
        as_type: The declared type, where it is a union.
    """
    plain = _converter().unstructure(value, unstructure_as=as_type)
    text = json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def from_json(data: bytes | str, as_type: type[T] | Any, source: str | Path) -> Any:
    """Read what `to_json` wrote.

    Args:
        data: The JSON text.
        as_type: What it is.
        source: Where it came from, for the message.

    Raises:
        DataFormatError: It is no JSON, or lacks a key, or has one too many, or a value of a wrong type.
    """
    plain = parse_json(data, source)
    try:
        return _converter().structure(plain, as_type)
    except BaseValidationError as error:
        raise DataFormatError(f"{source}: {'; '.join(transform_error(error)):.{_MAX_MESSAGE_CHARS}}.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}"
        raise DataFormatError(f"{source}: {what:.{_MAX_MESSAGE_CHARS}}.") from error


def read_json(path: Path, as_type: Any, *, max_bytes: int = MAX_RECORD_BYTES, follow: bool = False) -> Any:
    """Read a file that holds what `to_json` wrote.

    Args:
        path: The file.
        as_type: What it is.
        max_bytes: The most that it may hold.
        follow: Whether it may be a symbolic link: in folders that users lay out, not in those that programs write.

    Raises:
        FileNotFoundError: It isn't there.
        OSError: As from `mnistkit.utils.regular.read_regular`.
        DataFormatError: As from `from_json`.
    """
    return from_json(read_text(path, max_bytes=max_bytes, follow=follow), as_type, path)


@cache
def _converter() -> Converter:
    converter = make_converter(forbid_extra_keys=True)
    # The defaults of cattrs convert: True to 1, 1.9 to 1, "nan" to a float, any value to text, any text to True.
    converter.register_structure_hook(bool, _exactly(bool))
    converter.register_structure_hook(int, _exactly(int))
    converter.register_structure_hook(str, _exactly(str))
    converter.register_structure_hook(float, _as_float)
    converter.register_structure_hook(datetime, _as_time)
    converter.register_structure_hook_factory(_is_sequence, partial(_sequence_hook, converter))
    converter.register_structure_hook_factory(_is_mapping, partial(_mapping_hook, converter))
    return converter


def _is_sequence(kind: Any) -> bool:
    origin = get_origin(kind)
    return origin in {list, abc.Sequence} or (origin is tuple and get_args(kind)[1:] == (...,))


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) in {dict, abc.Mapping}


def _sequence_hook(converter: Converter, kind: Any) -> Any:
    """Return what reads a list. The hooks of cattrs take text for one, too, and collect an error from each item."""
    item = get_args(kind)[0]
    read = converter.get_structure_hook(item)
    make = list if get_origin(kind) is list else tuple

    def structured(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise TypeError(f"expected a list, got {value!r:.80}")
        found = []
        try:
            for each in value:
                found.append(read(each, item))  # noqa: PERF401 - its length is where an error arose
        except Exception as error:
            raise _located(error, len(found), item, kind) from error
        return make(found)

    return structured


def _mapping_hook(converter: Converter, kind: Any) -> Any:
    """Return what reads an object whose keys are text; see `_sequence_hook`."""
    item = get_args(kind)[1]
    read = converter.get_structure_hook(item)

    def structured(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise TypeError(f"expected an object, got {value!r:.80}")
        found = {}
        for key, each in value.items():
            try:
                found[key] = read(each, item)
            except Exception as error:
                raise _located(error, key, item, kind) from error
        return found

    return structured


def _located(error: Exception, place: int | str, item: Any, kind: Any) -> IterableValidationError:
    """Return the error of cattrs that says at which place of a list or an object another one arose."""
    note = IterableValidationNote(f"Structuring {kind} @ {place!r:.80}", place, item)
    setattr(error, "__notes__", [*getattr(error, "__notes__", ()), note])  # noqa: B010 - not declared before Python 3.11
    return IterableValidationError(f"While structuring {kind}", [error], kind)


def _exactly(kind: type) -> Any:
    def checked(value: Any, as_type: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, got {value!r:.80}")
        return value if as_type is kind else as_type(value)  # an enumeration of texts

    return checked


def _as_float(value: Any, _: Any) -> float:
    if type(value) not in {int, float} or not math.isfinite(value):
        raise TypeError(f"expected a finite number, got {value!r:.80}")
    return float(value)


def _as_time(value: Any, _: Any) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError(f"the time {value!r:.80} lacks its zone")
    return time
