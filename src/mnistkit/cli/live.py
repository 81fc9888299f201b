"""Runs as they go on: rows that move on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from mnistkit.cli import output
from mnistkit.runs.following import LogTail, StateNews
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.runs.views import metrics_text, phases_text
from mnistkit.utils.clock import utc_now
from mnistkit.utils.text import safe

__all__ = ["active", "shown"]

_LOG_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
_AROUND = 3
_NARROW = 80
_SHORT_ID = 6
_METRIC_WIDTH = 32
_STYLES = {"Completed": "green", "Failed": "red", "Canceled": "yellow"}


def active(runs: Sequence[Run]) -> list[Run]:
    """Those that haven't ended, as of the last look."""
    return [run for run in runs if not run.state.is_terminal]


@contextmanager
def shown(runs: Sequence[Run], waiting: Sized = ()) -> Iterator[Callable[[], None]]:
    """Show runs below whatever else is printed, while the block runs.

    Args:
        runs: May grow meanwhile; whoever shows them looks at them again.
        waiting: What isn't submitted yet.

    Yields:
        What shows them anew, to be called after each look.
    """
    if not output.is_live():
        yield _Lines(runs).update
        return
    # No thread of its own refreshes it: rich mixes up what two threads print. And runs redirect the streams as well.
    live = Live(
        get_renderable=_Rows(runs, waiting).render,
        console=output.error_console(),
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with live:
        yield live.refresh


class _Lines:
    """A note for each state that a run enters, from the one it is first seen in."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._news: dict[str, StateNews] = {}

    def update(self) -> None:
        """Say what is new."""
        for run in self._runs:
            news = self._news.setdefault(run.id, StateNews(known=run.record.transitions[:-1]))
            for line in news.lines(run.record):
                output.note(line)


class _Rows:
    """One run over three lines, or a row per run: as many as there is room for, and a summary."""

    def __init__(self, runs: Sequence[Run], waiting: Sized) -> None:
        self._runs = runs
        self._waiting = waiting
        self._tails: dict[str, LogTail] = {}
        self._spinner = Spinner("dots")

    def render(self) -> RenderableType:
        """What to draw now."""
        lines = self._one(self._runs[0]) if len(self._runs) == 1 and not self._waiting else self._many()
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        self._spinner.update(text=Group(*lines) if lines else Text("Queued"))
        return self._spinner

    def _one(self, run: Run) -> list[Text]:
        first = Text.assemble(_state(run, len(run.state.value)), f"  {_elapsed(run)}  ", safe(metrics_text(run.record)))
        return [first, Text(phases_text(run.record), "dim"), Text(self._last_log_line(run), "dim")]

    def _many(self) -> list[Text]:
        going = [run for run in active(self._runs) if run.state is not RunState.QUEUED]
        done = [run for run in self._runs if run.state.is_terminal]
        console = output.error_console()
        room = max(console.height - _AROUND, 1)
        kept = {run.id for run in (*going, *reversed(done))[:room]}
        rows = [run for run in self._runs if run.id in kept]
        queued = len(self._runs) - len(going) - len(done) + len(self._waiting)
        summary = f"{len(done)} done, {len(going)} going, {queued} waiting"
        return [*self._table(rows, is_narrow=console.width < _NARROW), Text(summary, "dim")]

    def _table(self, runs: Sequence[Run], *, is_narrow: bool) -> list[Text]:
        states = max((len(run.state.value) for run in runs), default=0)
        metrics = [safe(metrics_text(run.record))[:_METRIC_WIDTH] for run in runs]
        width = max(map(len, metrics), default=0)
        rows = []
        for run, metric in zip(runs, metrics, strict=True):
            state = _state(run, states)
            if is_narrow:  # the metric before the time: the end may be cut off
                rows.append(Text.assemble(f"{run.id[-_SHORT_ID:]} ", state, f" {metric:<{width}} {_elapsed(run):>7}"))
            else:
                log = "" if run.state.is_terminal else self._last_log_line(run)
                rows.append(
                    Text.assemble(f"{run.id}  ", state, f"  {_elapsed(run):>7}  {metric:<{width}}  ", (log, "dim"))
                )
        return rows

    def _last_log_line(self, run: Run) -> str:
        tail = self._tails.setdefault(run.id, LogTail(run))
        tail.read()
        return _LOG_TIME.sub("", tail.last_line)


def _state(run: Run, width: int) -> tuple[str, str]:
    return run.state.value.ljust(width), f"bold {_STYLES.get(run.state.value, 'cyan')}"


def _elapsed(run: Run) -> str:
    return output.duration(run.record.created_at, run.record.finished_at or utc_now())
