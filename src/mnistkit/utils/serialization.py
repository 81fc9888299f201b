"""Values to JSON and back: one converter for all of mnistkit's files. Unknown keys are refused."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from cattrs import BaseValidationError, Converter, transform_error
from cattrs.preconf.json import make_converter

from mnistkit.errors import DataFormatError

__all__ = ["from_json", "to_json"]

T = TypeVar("T")


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
    try:
        plain = json.loads(data.decode() if isinstance(data, bytes) else data)
        return _converter().structure(plain, as_type)
    except BaseValidationError as error:
        raise DataFormatError(f"{source}: {'; '.join(transform_error(error))}.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataFormatError(f"{source}: {type(error).__name__}: {error}.") from error


@cache
def _converter() -> Converter:
    return make_converter(forbid_extra_keys=True)
