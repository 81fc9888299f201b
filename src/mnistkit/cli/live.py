"""Progress of runs: rows that move on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager

from mnistkit.cli import output
from mnistkit.runs.following import StateNews
from mnistkit.runs.run import Run

__all__ = ["shown"]


@contextmanager
def shown(runs: Sequence[Run], waiting: Sized = ()) -> Iterator[Callable[[], None]]:
    """Show runs below whatever else is printed, while the block runs.

    Args:
        runs: May grow meanwhile; the caller polls them.
        waiting: Jobs that aren't submitted yet.

    Yields:
        A function that shows them anew, to be called after each poll.
    """
    if not output.is_live():
        yield _Lines(runs).update
        return
    from rich.live import Live

    from mnistkit.cli.live_rows import Rows

    # No thread of its own refreshes it: rich mixes up what two threads print. And runs redirect the streams as well.
    live = Live(
        get_renderable=Rows(runs, waiting).render,
        console=output.error_console(),
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with live:
        yield live.refresh


class _Lines:
    """Prints a note for each state that a run enters, from the first one seen."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._news: dict[str, StateNews] = {}

    def update(self) -> None:
        """Print new states."""
        for run in self._runs:
            news = self._news.setdefault(run.id, StateNews(known=run.record.transitions[:-1]))
            for line in news.lines(run.record):
                output.note(line)
