"""Following a run as it goes on: what is new in its states and its log, as lines or in a notebook's cell."""

from __future__ import annotations

import importlib
import re
import sys
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from mnistkit.runs.views import run_html
from mnistkit.utils.text import duration, number, safe

if TYPE_CHECKING:  # a run offers to be watched
    from mnistkit.runs.record import RunRecord, RunState, Transition
    from mnistkit.runs.run import Run

__all__ = ["LogTail", "Progress", "StateNews", "progress_of"]

_LINE_END = re.compile(r"\r\n|\n|\r(?=[^\n])")  # a return at the end may be half of a line end
_MAX_LINE = 10_000
_MAX_METRICS = 8


class LogTail:
    """Reads a run's log as it grows, each character once, and keeps its last lines.

    Attributes:
        last: The last whole lines, control characters written out.
    """

    def __init__(self, run: Run, lines: int = 10) -> None:
        self.last: deque[str] = deque(maxlen=lines)
        self._run = run
        self._position = 0
        self._begun = ""

    def read(self) -> list[str]:
        """The lines that were completed since the last call, safe to show; of a run that ended, all the rest.

        A line of more than 10000 characters comes in pieces.
        """
        text = self._run.logs(start=self._position)
        self._position += len(text)
        *whole, self._begun = _LINE_END.split(self._begun + text)
        if self._begun and (self._run.state.is_terminal or len(self._begun) > _MAX_LINE):
            whole.append(self._begun)
            self._begun = ""
        lines = [piece for line in whole for piece in _pieces(safe(line.rstrip("\r")))]
        self.last.extend(lines)
        return lines

    @property
    def last_line(self) -> str:
        """The last line that isn't blank, whole or only begun."""
        begun = safe(self._begun).strip()
        return begun or next((line for line in reversed(self.last) if line.strip()), "")


class StateNews:
    """Tells each state of a run once, however often its record is read."""

    def __init__(self, known: Iterable[Transition] = ()) -> None:
        """Begin.

        Args:
            known: What isn't news.
        """
        self._told: set[tuple[RunState, int]] = set()
        for _ in self._new(known):
            pass

    def lines(self, record: RunRecord) -> list[str]:
        """A line per state that is new: ``Run X is Running.``; the last one with metrics, or the error."""
        return [_state_line(record, transition) for transition in self._new(record.transitions)]

    def _new(self, transitions: Iterable[Transition]) -> Iterator[Transition]:
        # By how often a state came: a request to cancel is seen from outside, and gone again from the final record.
        seen: Counter[RunState] = Counter()
        for transition in transitions:
            seen[transition.state] += 1
            key = transition.state, seen[transition.state]
            if key not in self._told:
                self._told.add(key)
                yield transition


class Progress(ABC):
    """Shows how one run goes on."""

    @abstractmethod
    def update(self) -> None:
        """Show what is new since the last look at the run."""


def progress_of(run: Run) -> Progress:
    """One output cell that changes in place where HTML can be shown, plain lines elsewhere."""
    return _Cell(run) if _in_notebook() else _Lines(run)


class _Lines(Progress):
    """Prints states and log lines as they come."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tail = LogTail(run)
        self._news = StateNews()

    def update(self) -> None:
        """Print what is new; how the run ended comes last."""
        states, log = self._news.lines(self._run.record), self._tail.read()
        has_ended = self._run.state.is_terminal
        lines = [*states[:-1], *log, *states[-1:]] if has_ended else [*states, *log]
        encoding = sys.stdout.encoding or "utf-8"
        for line in lines:
            sys.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stdout.flush()


class _Cell(Progress):
    """Draws the run anew in one output cell."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tail = LogTail(run)
        self._handle: Any = None

    def update(self) -> None:
        """Replace what the cell shows."""
        self._tail.read()
        html = run_html(self._run.record, log="\n".join(self._tail.last))
        shown = {"text/html": str(html), "text/plain": repr(self._run)}
        if self._handle is None:
            self._handle = importlib.import_module("IPython.display").display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


def _in_notebook() -> bool:
    """Whether this runs inside an IPython that shows HTML; its terminal shell shows text alone."""
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
    return [line[start : start + _MAX_LINE] for start in range(0, len(line), _MAX_LINE)] or [line]
