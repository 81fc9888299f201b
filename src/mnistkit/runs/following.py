"""Follow a run: what is new in its states and its log, as lines or in a notebook's cell."""

from __future__ import annotations

import importlib
import re
import sys
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from mnistkit.runs.record import RunRecord, RunState, Transition
from mnistkit.utils.markup import render
from mnistkit.utils.summary import Text
from mnistkit.utils.text import duration, number, safe

__all__ = ["LogTail", "Progress", "StateNews", "progress_of"]

_LINE_END_PATTERN = re.compile(r"\r\n|\n|\r(?=[^\n])")  # a return at the end may be half of a line end
_MAX_LINE_CHARS = 10_000
_MAX_METRICS = 8


class LogTail:
    """Reads a run's log as it grows, each character once, and keeps its last lines.

    Attributes:
        last: The last whole lines, control characters written out.
    """

    def __init__(self, logs: Callable[[int], str], lines: int = 10) -> None:
        """Begin at the start of the log.

        Args:
            logs: Returns the log from a character on, as `ComputeBackend.logs` does.
            lines: Maximum number of lines in ``last``.
        """
        self.last: deque[str] = deque(maxlen=lines)
        self._logs = logs
        self._position = 0
        self._begun = ""

    def read(self, *, is_final: bool = False) -> list[str]:
        """Return the lines that were completed since the last call, with control characters written out.

        A line of more than 10000 characters comes in pieces.

        Args:
            is_final: Whether the run has finished: a last line without an end is returned too.
        """
        text = self._logs(self._position)
        self._position += len(text)
        *whole, self._begun = _LINE_END_PATTERN.split(self._begun + text)
        if self._begun and (is_final or len(self._begun) > _MAX_LINE_CHARS):
            whole.append(self._begun)
            self._begun = ""
        lines = [piece for line in whole for piece in _pieces(safe(line.rstrip("\r")))]
        self.last.extend(lines)
        return lines

    @property
    def last_line(self) -> str:
        """The last line that isn't blank, complete or not."""
        begun = safe(self._begun).strip()
        return begun or next((line for line in reversed(self.last) if line.strip()), "")


class StateNews:
    """Reports each state of a run once, however often its record is read."""

    def __init__(self, known: Iterable[Transition] = ()) -> None:
        """Begin.

        Args:
            known: Transitions that aren't news.
        """
        self._reported: set[tuple[RunState, int]] = set()
        for _ in self._new(known):
            pass

    def lines(self, record: RunRecord) -> list[str]:
        """Return a line per new state: ``Run X is Running.``; a terminal state's has the metrics or the error."""
        return [_state_line(record, transition) for transition in self._new(record.transitions)]

    def _new(self, transitions: Iterable[Transition]) -> Iterator[Transition]:
        # By how often a state came: a request to cancel is seen from outside, and gone again from the final record.
        seen: Counter[RunState] = Counter()
        for transition in transitions:
            seen[transition.state] += 1
            key = transition.state, seen[transition.state]
            if key not in self._reported:
                self._reported.add(key)
                yield transition


class Progress(ABC):
    """Shows the progress of one run."""

    @abstractmethod
    def update(self, record: RunRecord) -> None:
        """Show what is new in the record and the log."""


def progress_of(logs: Callable[[int], str]) -> Progress:
    """Return one output cell that changes in place where HTML can be shown, and plain lines elsewhere.

    Args:
        logs: Returns the run's log from a character on.
    """
    return _Cell(logs) if _in_notebook() else _Lines(logs)


class _Lines(Progress):
    """Prints states and log lines as they come."""

    def __init__(self, logs: Callable[[int], str]) -> None:
        self._tail = LogTail(logs)
        self._news = StateNews()

    def update(self, record: RunRecord) -> None:
        """Print what is new, the terminal state last."""
        has_ended = record.state.is_terminal
        states, log = self._news.lines(record), self._tail.read(is_final=has_ended)
        lines = [*states[:-1], *log, *states[-1:]] if has_ended else [*states, *log]
        if sys.stdout is None:  # it was closed
            return
        encoding = sys.stdout.encoding or "utf-8"
        for line in lines:
            sys.stdout.write(safe(line).encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stdout.flush()


class _Cell(Progress):
    """Redraws the run in one output cell."""

    def __init__(self, logs: Callable[[int], str]) -> None:
        self._tail = LogTail(logs)
        self._handle: Any = None

    def update(self, record: RunRecord) -> None:
        """Replace what the cell shows."""
        self._tail.read(is_final=record.state.is_terminal)
        summary = record.describe()
        log = Text(title="End of its log", text="\n".join(self._tail.last), is_folded=False)
        html = render(attrs.evolve(summary, texts=(*summary.texts, log)))
        shown = {"text/html": html, "text/plain": repr(record)}
        if self._handle is None:
            self._handle = importlib.import_module("IPython.display").display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


def _in_notebook() -> bool:
    """Return True inside an IPython that shows HTML; its terminal shell shows text alone."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "text/html" in shell.display_formatter.active_types


def _state_line(record: RunRecord, transition: Transition) -> str:
    line = f"Run {record.id} is {transition.state}"
    if not transition.state.is_terminal:
        return f"{line}."
    metrics = [f"{name} {number(value)}" for name, value in record.metrics.items()][:_MAX_METRICS]
    detail = record.error.partition("\n")[0] if record.error else ", ".join(metrics)
    took = duration((transition.at - record.created_at).total_seconds())
    return safe(f"{line} after {took}{': ' + detail if detail else '.'}")


def _pieces(line: str) -> list[str]:
    return [line[start : start + _MAX_LINE_CHARS] for start in range(0, len(line), _MAX_LINE_CHARS)] or [line]
