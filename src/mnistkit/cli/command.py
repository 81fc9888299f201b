"""Shared parts of the commands: options, confirmation, and errors as one paragraph and an exit code."""

from __future__ import annotations

import functools
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from mnistkit.cli import output
from mnistkit.cli.completion import complete_data
from mnistkit.cli.pipes import code_before, discard
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
    "Group",
    "JsonOption",
    "Program",
    "TagOption",
    "TrustedOption",
    "confirm",
    "examples",
    "failing",
    "parse_tags",
]

EXIT_CODES = "Exit codes: 0 done; 1 it failed; 2 the command line or a setting is wrong; 130 interrupted (Ctrl-C)."

FAILED, MISUSED, INTERRUPTED = 1, 2, 130

_SENTENCE_PATTERN = re.compile(r"(?<=[.]) (?=[A-Z])")
_PLAIN_WORDS = (
    (r"Value error, ", ""),
    (r"Input should be a valid integer.*", "it must be a whole number."),
    (r"Input should be a valid number.*", "it must be a number."),
    (r"Input should be greater than or equal to (\S+)", r"it must be at least \1."),
    (r"Input should be less than or equal to (\S+)", r"it must be at most \1."),
    (r"Input should be greater than (\S+)", r"it must be above \1."),
    (r"Input should be less than (\S+)", r"it must be below \1."),
    (r"Input should be ", "it must be "),
)
"""What pydantic, which some releases of typer read options with, says of a wrong one, and what is said instead."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TagOption = Annotated[
    list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Free text by key; repeatable.")
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="URI",
        help="The dataset: mnist, digits, idx:FOLDER... ('mnistkit data list').",
        autocompletion=complete_data,
    ),
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


class Group(TyperGroup):
    """A noun with its verbs, whose help isn't cut."""

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 - there is no limit
        """Return the first sentence of its help, whole: the list of a program's commands breaks it at words."""
        return _first_sentence(self.help)


class Program(Group):
    """The program itself: a verb without its noun is answered with the whole command."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments name."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            groups = [group for group in self.commands.values() if isinstance(group, TyperGroup)]
            found = [f"'{ctx.command_path} {group.name} {args[0]}'" for group in groups if args[0] in group.commands]
            if found and isinstance(message := getattr(error, "message", None), str):
                error.message = f"{message} Did you mean {' or '.join(found)}?"  # type: ignore[attr-defined]
            raise


class Command(TyperCommand):
    """A command whose errors are one paragraph on standard error, and an exit code; it takes ``--quiet`` as well."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not any({"-q", "--quiet"} & set(parameter.opts) for parameter in self.params):
            self.params.append(_quiet_option())

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 - there is no limit
        """Return the first sentence of its help, whole: the list of a group's commands breaks it at words."""
        return _first_sentence(self.help)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; what the library below says of a wrong one is put in plain words."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if isinstance(getattr(error, "message", None), str):
                error.message = _in_plain_words(error.message)  # type: ignore[attr-defined]  # a usage error
            raise

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


@contextmanager
def failing(failed: bool) -> Iterator[None]:  # noqa: FBT001 - reads as a sentence
    """End the command with exit code 1 after the block if it failed, also if no reader is left for what it prints."""
    try:
        yield
    except BrokenPipeError:
        if not failed:
            raise
        discard(sys.stdout)
    if failed:
        raise typer.Exit(FAILED)


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


def _be_quiet(value: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if value:
        output.be_quiet()


def _takes_quiet(
    *,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", callback=_be_quiet, help="No notes and no progress on standard error.")
    ] = False,
) -> None:
    del quiet


@functools.cache  # every command has it
def _quiet_option() -> Any:
    """Return the option --quiet as typer makes it, whose own classes differ from release to release."""
    app = typer.Typer(add_completion=False)
    app.command()(_takes_quiet)
    (option,) = (each for each in typer.main.get_command(app).params if each.name == "quiet")
    option.expose_value = False  # the command's own function doesn't take it
    return option


def _first_sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").strip().partition("\n\n")[0].split())
    return _SENTENCE_PATTERN.split(paragraph)[0]


def _in_plain_words(message: str) -> str:
    for pattern, words in _PLAIN_WORDS:
        message = re.sub(pattern, words, message)
    return message


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
        discard(sys.stdout)
        raise typer.Exit(code_before(error)) from error
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
