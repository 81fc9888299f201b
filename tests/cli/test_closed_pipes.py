"""Pipes whose reader has gone before the program writes, as in ``mnistkit --help | true``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mnistkit.trainer import Trainer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def unread(start: Start, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run the program with pipes that have no reader; return its exit code and what it wrote on standard error."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)

    def run(*arguments: str, errors: bool = False) -> tuple[int, str]:
        reading, writing = os.pipe()
        os.close(reading)
        process = start(*arguments, stdout=writing, stderr=writing if errors else subprocess.PIPE)
        os.close(writing)
        _, err = process.communicate(timeout=60)
        return process.returncode, err or ""

    return run


@pytest.mark.parametrize("arguments", [("--help",), ("runs", "list", "--help"), ("--version",)])
@pytest.mark.parametrize("errors", [False, True])
def test_help_without_a_reader_ends_quietly(
    unread: Callable[..., tuple[int, str]], arguments: tuple[str, ...], errors: bool
) -> None:
    """Help and version end without a word."""
    assert unread(*arguments, errors=errors) == (0, "")


@pytest.mark.parametrize("errors", [False, True])
def test_a_list_without_a_reader_ends_quietly(
    unread: Callable[..., tuple[int, str]], trained: object, errors: bool
) -> None:
    """A command that did what it should, and whose output isn't read, ends with 0."""
    assert unread("runs", "list", errors=errors) == (0, "")


@pytest.mark.parametrize("errors", [False, True])
def test_a_failed_command_stays_failed(unread: Callable[..., tuple[int, str]], trained: Trainer, errors: bool) -> None:
    """A command that found a problem, and whose line about it is still in the buffer, exits with 1 all the same."""
    version = trained.models.get("sklearn_mnist")
    Path(version.location, "model.skops").write_bytes(b"damaged")
    code, err = unread("models", "verify", errors=errors)
    assert code == 1
    assert errors or "1 bad" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("bogus",), 2),
        (("train", "--limit", "0"), 2),
        (("train", "--data", "bogus"), 2),
        (("runs", "show", "bogus"), 1),
        (("models", "delete", "bogus:x", "--yes"), 2),
    ],
)
def test_an_error_that_is_not_read_keeps_its_code(
    unread: Callable[..., tuple[int, str]], arguments: tuple[str, ...], expected: int
) -> None:
    """An error whose text can't be written either, as in ``2>&1 | true``, is an error of the same exit code."""
    assert unread(*arguments)[0] == expected
    assert unread(*arguments, errors=True) == (expected, "")
