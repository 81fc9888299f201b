"""Shared parts of the commands: options, confirmation, and errors as one paragraph and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from mnistkit.cli import output
from mnistkit.errors import MnistkitError, UsageError

__all__ = [
    "EXIT_CODES",
    "FAILED",
    "INTERRUPTED",
    "AllowMismatchOption",
    "AllowOtherDataOption",
    "AllowPickleOption",
    "Command",
    "DataOption",
    "JsonOption",
    "TagOption",
    "TrustedOption",
    "confirm",
    "examples",
    "parse_tags",
]

EXIT_CODES = "Exit codes: 0 done; 1 it failed; 2 the command line or a setting is wrong; 130 interrupted (Ctrl-C)."

FAILED, MISUSED, INTERRUPTED = 1, 2, 130

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TagOption = Annotated[
    list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Free text by key; repeatable.")
]
DataOption = Annotated[
    str | None,
    typer.Option("--data", metavar="URI", help="The dataset: mnist, digits, idx:FOLDER... ('mnistkit data list')."),
]
AllowPickleOption = Annotated[
    bool, typer.Option("--allow-pickle", help="Load joblib models, which can run any code: only if you trust them.")
]
TrustedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted", metavar="TYPE", help="Load models that contain this type, named as in the error; repeatable."
    ),
]
AllowMismatchOption = Annotated[
    bool, typer.Option("--allow-version-mismatch", help="Load what another release made, if it predicts as it did.")
]
AllowOtherDataOption = Annotated[
    bool, typer.Option("--allow-other-data", help="Register it although the newest version is of other data.")
]


class Command(TyperCommand):
    """A command whose errors are one paragraph on standard error, and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        with _reporting_errors():
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, where a closed pipe is expected
            return result


def confirm(question: str, *, yes: bool) -> None:
    """Return if the user agrees, or has agreed with ``--yes``; else end the command.

    Raises:
        UsageError: There is no terminal to ask on.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Can't ask without a terminal: add --yes.")
    try:
        agrees = typer.confirm(question, err=True)
    except typer.Abort:  # Ctrl-C is no answer
        raise KeyboardInterrupt from None
    if not agrees:
        raise typer.Abort


def examples(*lines: str) -> str:
    """Return example command lines for the end of a help page."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])  # \b: don't join the lines


def parse_tags(tags: Iterable[str] | None, *, option: str = "--tag ") -> dict[str, str]:
    """Return ``["k=v"]`` as a dict; ``option`` is what stands before each on the command line.

    Raises:
        UsageError: One has no ``=`` or no key.
    """
    pairs = [(tag, *tag.partition("=")) for tag in tags or ()]
    for tag, key, equals, _ in pairs:
        if not key or not equals:
            raise UsageError(f"{option}{tag!r}: write KEY=VALUE, such as {option}purpose=demo.")
    return {key: value for _, key, _, value in pairs}


@contextmanager
def _reporting_errors() -> Iterator[None]:
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt as error:
        output.complain("stopped.", "Interrupted")
        raise typer.Exit(INTERRUPTED) from error
    except BrokenPipeError as error:
        # The reader has closed the pipe, as in "mnistkit runs list | head". Nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from error
    except Exception as error:
        if output.is_debug():
            sys.stderr.write(output.safe(traceback.format_exc()))
        output.complain(_describe(error))
        raise typer.Exit(MISUSED if isinstance(error, UsageError) else FAILED) from error


def _describe(error: Exception) -> str:
    if isinstance(error, MnistkitError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}." if error.filename else f"{error.strerror}."
    hint = "" if output.is_debug() else f" Run 'mnistkit --debug {_arguments()}' to see where."
    return f"This is a bug in mnistkit: {type(error).__name__}: {error}.{hint}"


def _arguments() -> str:
    import shlex

    return shlex.join(sys.argv[1:]) if Path(sys.argv[0]).name.startswith("mnistkit") else "..."
