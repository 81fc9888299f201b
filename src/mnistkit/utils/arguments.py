"""Arguments of public calls, checked before they are used: a wrong one is an error that says what to give."""

from __future__ import annotations

import os
from typing import Any

from mnistkit.errors import UsageError

__all__ = ["check_path", "check_type"]


def check_type(value: Any, kinds: type | tuple[type, ...], name: str, use: str) -> None:
    """Check the type of an argument. A bool is no number, unless ``bool`` is among the types.

    Args:
        value: What was given.
        kinds: The types that it may have.
        name: Of the argument.
        use: What to give, for the message.

    Raises:
        UsageError: It has another type.
    """
    accepted = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and not {bool, object} & set(accepted)):
        kind = f"{type(value).__module__.partition('.')[0]} {type(value).__name__}".removeprefix("builtins ")
        raise UsageError(f"{name} is of the type {kind}: use {use}.")


def check_path(value: Any, name: str) -> None:
    """Check that an argument is a path that a file system can have.

    Raises:
        UsageError: It isn't.
    """
    check_type(value, (str, os.PathLike), name, "a path, as text or a pathlib.Path")
    text = os.fspath(value)
    try:
        is_possible = isinstance(text, str) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_possible = False
    if not is_possible:
        raise UsageError(f"{name} is {text!r:.80}, which no file can be called: use another path.")
