"""Standard streams that are closed, or whose reader has gone, as in ``mnistkit --help | head -1``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TextIO

__all__ = ["code_before", "discard", "null_stream"]

_FAILED = 1


def null_stream(number: int) -> TextIO:
    """Open the null device where a standard stream was closed, as by ``>&-``, and return it.

    The descriptor itself is opened: else the next file that is opened would take its number, and what child processes
    print would be written into that file.
    """
    try:
        os.fstat(number)
    except OSError:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor != number:
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.set_inheritable(number, True)  # noqa: FBT003 - its only form
    return open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)


def discard(stream: TextIO) -> None:
    """Send what a stream still holds to the null device, as its reader has gone.

    Python flushes the standard streams at the end: what can't be written would be a message, and exit code 120.
    """
    with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor holds nothing
        number = stream.fileno()
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, number)
        os.close(descriptor)


def code_before(error: BrokenPipeError) -> int:
    """Return the exit code that the program had come to when it found that its reader has gone; 0 for none.

    Python keeps, as the context of an exception, what was being handled when it was raised: the end of the program
    whose output is flushed, or an error of the command line that is being printed.
    """
    for cause in _contexts(error):
        code = getattr(cause, "code" if isinstance(cause, SystemExit) else "exit_code", None)
        if isinstance(cause, SystemExit) or isinstance(code, int):
            return code if isinstance(code, int) else _FAILED if code else 0
        if type(cause).__name__ == "Abort":  # typer's, for a question that wasn't agreed to: it has no code
            return _FAILED
    return 0


def _contexts(error: BaseException) -> Iterator[BaseException]:
    cause = error.__context__
    while cause is not None:
        yield cause
        cause = cause.__context__
