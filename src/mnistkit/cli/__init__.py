"""The command line, ``mnistkit``. What it needs beyond the library is the extra ``cli``."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import sys
from typing import NoReturn

from mnistkit.cli.ahead import start_ahead
from mnistkit.cli.pipes import code_before, discard, null_stream

__all__ = ["main"]


def main() -> None:
    """Run the program with the arguments of this process, and exit with its code."""
    gc.set_threshold(50_000)  # importing scikit-learn makes many objects, and no garbage
    atexit.register(gc.freeze)  # as the process ends, none of them need be looked for
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, null_stream(number))
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
        _print_error("Interrupted: stopped.\n")
        raise SystemExit(130) from None
    except (OSError, SystemExit) as error:
        cause = error.__context__ if isinstance(error, SystemExit) else error
        if isinstance(cause, BrokenPipeError):  # typer turns it into exit code 1
            _end_quietly(cause)
        if isinstance(error, OSError):
            _end_unwritten(error)
        raise


def _end_quietly(error: BrokenPipeError) -> NoReturn:
    """Exit as other programs do whose reader has gone: without a word, but never hide that a command failed."""
    for stream in filter(None, (sys.__stdout__, sys.__stderr__)):
        try:
            stream.flush()
        except (OSError, ValueError):
            discard(stream)
    raise SystemExit(code_before(error)) from None


def _end_unwritten(error: OSError) -> NoReturn:
    """Exit as what was printed can't be written: --help to a full disk, or a command's last lines."""
    ended = error.__context__  # a command that has said what failed, and left it in the buffer
    sys.stdout = null_stream(1)  # Python flushes it at the end
    if not (isinstance(ended, SystemExit) and ended.code):
        _print_error(f"Error: {error.strerror or error}.\n")
    raise SystemExit(1) from None


def _print_error(text: str) -> None:
    try:
        sys.stderr.write(text)
    except BrokenPipeError:  # its reader has gone as well: the exit code is what is left
        discard(sys.stderr)


def _run() -> None:
    if sys.argv[1:] == ["--version"]:  # the command line takes it as well, but needs 0.1 s more
        import mnistkit

        sys.stdout.write(f"mnistkit {mnistkit.__version__}\n")
        raise SystemExit(0)
    try:
        start_ahead(sys.argv[1:])
        from mnistkit.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "mnistkit":
            raise
        _print_error(
            f"The command line needs the package {error.name!r}, which isn't installed. "
            "Install it with: python -m pip install 'mnistkit[cli]'\n"
        )
        raise SystemExit(1) from None
    app(prog_name="mnistkit")
