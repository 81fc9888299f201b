"""The command line, ``mnistkit``. What it needs beyond the library is the extra ``cli``."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import sys
from typing import TextIO

__all__ = ["main"]


def main() -> None:
    """Run the program with the arguments of this process, and exit with its code."""
    gc.set_threshold(50_000)  # importing scikit-learn makes many objects, and no garbage
    atexit.register(gc.freeze)  # as the process ends, none of them need be looked for
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, _null_stream(number))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError, OSError):  # an odd stream stays as it is
                stream.reconfigure(errors="backslashreplace")
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()  # here, where it can be an error: at the end Python only prints that it failed
    except KeyboardInterrupt:  # before there was a command, which takes care of it
        sys.stderr.write("Interrupted: stopped.\n")
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader has closed the pipe, as in "mnistkit --help | head"
        sys.stdout = _null_stream(1)
        raise SystemExit(0) from None
    except OSError as error:  # as --help is written to a full disk
        ended = error.__context__  # a command that has said what failed, and left it in the buffer
        sys.stdout = _null_stream(1)  # Python flushes it at the end
        if not (isinstance(ended, SystemExit) and ended.code):
            sys.stderr.write(f"Error: {error.strerror or error}.\n")
        raise SystemExit(1) from None


def _null_stream(number: int) -> TextIO:
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


def _run() -> None:
    try:
        from mnistkit.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "mnistkit":
            raise
        sys.stderr.write(
            f"The command line needs the package {error.name!r}, which isn't installed. "
            "Install it with: python -m pip install 'mnistkit[cli]'\n"
        )
        raise SystemExit(1) from None
    app(prog_name="mnistkit")
