"""What moves on a terminal while runs go on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

Start = Callable[..., "subprocess.Popen[str]"]

DEADLINE = 120

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")


def test_a_terminal_sees_the_run_go_on(start: Start) -> None:
    """On a terminal the state of the run is drawn over and over, and the cursor is back at the end."""
    out, shown = _with_terminal(start, TERM="xterm-256color")
    assert "sklearn_digits\tsklearn_digits:1\t1\n" in out
    assert "Submitted run" in shown
    assert "Running" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_nothing_moves_where_nobody_wants_it(start: Start, variable: dict[str, str]) -> None:
    """With NO_COLOR, or on a dumb terminal, the notes are plain lines."""
    _, shown = _with_terminal(start, **{"TERM": "xterm", **variable})
    assert "Submitted run" in shown
    assert "\x1b" not in shown


def _with_terminal(start: Start, **variables: str) -> tuple[str, str]:
    """Standard output as a pipe, and what a terminal on standard error has got, of a training on digits."""
    import pty

    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = start("train", "--data", "digits", stderr=theirs, env={**environment, **variables})
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux says so when the other side has closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    out, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    return out, shown.decode()
