"""The rows of runs that move on a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence, Sized

from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.text import Text

from mnistkit.cli import output
from mnistkit.runs.following import LogTail
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.run import Run
from mnistkit.runs.submission import running
from mnistkit.utils.clock import utc_now
from mnistkit.utils.text import duration, number, safe

__all__ = ["Rows"]

_LOG_TIME_PATTERN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
_MARGIN_LINES = 3
_NARROW_CHARS = 80
_SHORT_ID_CHARS = 6
_MAX_METRIC_CHARS = 32


class Rows:
    """One run over three lines, or a row per run: as many as there is room for, and a summary."""

    def __init__(self, runs: Sequence[Run], waiting: Sized) -> None:
        self._runs = runs
        self._waiting = waiting
        self._tails: dict[str, LogTail] = {}
        self._spinner = Spinner("dots")

    def render(self) -> RenderableType:
        """Return the rows to draw now."""
        lines = self._one(self._runs[0]) if len(self._runs) == 1 and not self._waiting else self._many()
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        self._spinner.update(text=Group(*lines) if lines else Text("Queued"))
        return self._spinner

    def _one(self, run: Run) -> list[Text]:
        first = Text.assemble(_state(run, len(run.state.value)), f"  {_elapsed(run)}  ", safe(_metric(run.record)))
        return [first, Text(_phases(run.record), "dim"), Text(self._last_log_line(run), "dim")]

    def _many(self) -> list[Text]:
        started = [run for run in running(self._runs) if run.state is not RunState.QUEUED]
        done = [run for run in self._runs if run.state.is_terminal]
        console = output.error_console()
        room = max(console.height - _MARGIN_LINES, 1)
        kept = {run.id for run in (*started, *reversed(done))[:room]}
        rows = [run for run in self._runs if run.id in kept]
        queued = len(self._runs) - len(started) - len(done) + len(self._waiting)
        summary = f"{len(done)} finished, {len(started)} running, {queued} queued"
        return [*self._table(rows, is_narrow=console.width < _NARROW_CHARS), Text(summary, "dim")]

    def _table(self, runs: Sequence[Run], *, is_narrow: bool) -> list[Text]:
        states = max((len(run.state.value) for run in runs), default=0)
        metrics = [safe(_metric(run.record))[:_MAX_METRIC_CHARS] for run in runs]
        width = max(map(len, metrics), default=0)
        rows = []
        for run, metric in zip(runs, metrics, strict=True):
            state = _state(run, states)
            if is_narrow:  # the metric before the time: the end may be cut off
                rows.append(
                    Text.assemble(f"{run.id[-_SHORT_ID_CHARS:]} ", state, f" {metric:<{width}} {_elapsed(run):>7}")
                )
            else:
                log = "" if run.state.is_terminal else self._last_log_line(run)
                rows.append(
                    Text.assemble(f"{run.id}  ", state, f"  {_elapsed(run):>7}  {metric:<{width}}  ", (log, "dim"))
                )
        return rows

    def _last_log_line(self, run: Run) -> str:
        tail = self._tails.setdefault(run.id, LogTail(lambda start: run.logs(start=start)))
        tail.read(is_final=run.state.is_terminal)
        return _LOG_TIME_PATTERN.sub("", tail.last_line)


def _state(run: Run, width: int) -> tuple[str, str]:
    return run.state.value.ljust(width), f"bold {output.STATE_STYLES.get(run.state.value, 'cyan')}"


def _elapsed(run: Run) -> str:
    return output.duration(run.record.created_at, run.record.finished_at or utc_now())


def _phases(record: RunRecord) -> str:
    """Return the time in each state, in one line: ``Queued 0.1 s, Preparing 0.4 s, Running 12.3 s``."""
    return ", ".join(f"{span.label} {duration(span.seconds)}" for span in record.describe().timeline)


def _metric(record: RunRecord) -> str:
    """Return the last metric, as ``objective 12345.6 (step 7)``; of a finished run its accuracy, if it has one."""
    if record.state.is_terminal and "accuracy" in record.metrics:
        return f"accuracy {number(record.metrics['accuracy'])}"
    if not record.points:
        return ""
    last = record.points[-1]
    step = "" if last.step is None else f" (step {last.step})"
    return f"{last.name} {number(last.value)}{step}"
