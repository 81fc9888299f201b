"""What the comparisons share: timing two ways in turn, and saying what came out."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import psutil
from attrs import field, frozen

__all__ = ["Result", "Turn", "compare", "in_turn", "seconds", "table", "timed", "turn"]

_PAIRS = ((5.0, 5), (60.0, 3), (float("inf"), 1))
_TRIES = 2
_QUIET = 0.25  # cores that other processes may take
_PATIENCE = 30  # seconds to wait for that


@frozen(kw_only=True)
class Result:
    """Two ways of doing one thing, timed in turn; or, with no times for ``a``, one way alone.

    Attributes:
        what: The thing.
        a: The way to compare with.
        b: The way that is looked at.
        a_seconds: What each turn of ``a`` took.
        b_seconds: What each turn of ``b`` took.
        others: The most cores that other processes took during one of these turns; above 0.25 the times say little.
    """

    what: str
    a: str
    b: str
    a_seconds: tuple[float, ...] = field(converter=tuple[float, ...])
    b_seconds: tuple[float, ...] = field(converter=tuple[float, ...])
    others: float = 0.0

    @property
    def ratios(self) -> tuple[float, ...]:
        """``a`` over ``b``, sorted, of each pair: how many times faster ``b`` is."""
        return tuple(sorted(a / b for a, b in zip(self.a_seconds, self.b_seconds, strict=bool(self.a_seconds))))


def compare(
    what: str,
    a: tuple[str, Callable[[], object]],
    b: tuple[str, Callable[[], object]],
    *,
    n: int,
    between: Callable[[], object] = lambda: None,
) -> Result:
    """Time ``a`` and ``b`` in turn, so that a slow moment of the machine meets both; one pair to warm up doesn't count.

    Args:
        what: The thing that both do.
        a: Label and function of the way to compare with.
        b: Label and function of the way that is looked at.
        n: How many pairs.
        between: Called before each turn of ``b``, not timed.
    """
    (a_label, run_a), (b_label, run_b) = a, b
    start, before = time.perf_counter(), _others()
    pairs = [(timed(run_a), between(), timed(run_b))[::2] for _ in range(n + 1)][1:]
    others = (_others() - before) / (time.perf_counter() - start)
    a_seconds, b_seconds = zip(*pairs, strict=True)
    return Result(what=what, a=a_label, b=b_label, a_seconds=a_seconds, b_seconds=b_seconds, others=others)


def in_turn(
    run_a: Callable[[], object],
    run_b: Callable[[], object],
    *,
    quick: bool,
    between: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Time what is slow: 5 pairs of under 5 s, 3 of under a minute, one otherwise; nothing to warm up.

    A turn begins once the machine is quiet, or after half a minute. One in which other processes took more than a
    quarter of a core is run once more: the less disturbed of the two counts.

    Args:
        run_a: The way to compare with.
        run_b: The way that is looked at.
        quick: One pair, whatever else runs.
        between: Called between the two, not timed: for what ``run_b`` needs to know of the other's result.

    Returns:
        The times, and the disturbance, as `Result` takes them.
    """
    pairs: list[tuple[Turn, Turn]] = []
    count = 1
    while len(pairs) < count:
        a = turn(run_a, quick=quick)
        between()
        pairs.append((a, turn(run_b, quick=quick)))
        cost = sum(turn.seconds for turn in pairs[0])
        count = 1 if quick else next(n for below, n in _PAIRS if cost < below)
    return {
        "a_seconds": [a.seconds for a, _ in pairs],
        "b_seconds": [b.seconds for _, b in pairs],
        "others": max(turn.others for pair in pairs for turn in pair),
    }


def timed(run: Callable[[], object]) -> float:
    """Seconds that ``run`` takes, once garbage is collected."""
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def table(results: Iterable[Result]) -> str:
    """The results as a Markdown table; a ratio is the median of the pairs' own, with the lowest and the highest.

    The last column is `Result.others`.
    """
    lines = ["| what | A | B | A | B | A / B | pairs | others |", "|---|---|---|--:|--:|--:|--:|--:|"]
    for r in results:
        a, b = seconds(r.a_seconds), seconds(r.b_seconds)
        times = f"{a} | {b} | {_spread(r.ratios)} | {len(r.b_seconds)} | {r.others:.2f}"
        lines.append(f"| {r.what} | {r.a or '-'} | {r.b} | {times} |")
    return "\n".join(lines)


def seconds(times: tuple[float, ...]) -> str:
    """The median, in the unit that suits it."""
    if not times:
        return "-"
    median = statistics.median(times)
    return f"{median * 1000:,.1f} ms" if median < 1 else f"{median:,.1f} s"


@frozen(order=True)
class Turn:
    """One timed call.

    Attributes:
        others: How many cores other processes took meanwhile.
        seconds: How long it took.
    """

    others: float
    seconds: float


def turn(run: Callable[[], object], *, quick: bool) -> Turn:
    """Time one call as `in_turn` does: once the machine is quiet, and once more if it was disturbed."""
    turns: list[Turn] = []
    while len(turns) < (1 if quick else _TRIES) and all(turn.others > _QUIET for turn in turns):
        deadline = time.monotonic() + (0 if quick else _PATIENCE)
        while time.monotonic() < deadline and psutil.cpu_percent(1) > 100 * _QUIET / (os.cpu_count() or 1):
            pass
        before = _others()
        taken = timed(run)
        turns.append(Turn((_others() - before) / taken, taken))
    return min(turns)


def _others() -> float:
    """The processors' seconds that went to other processes so far."""
    every, own = psutil.cpu_times(), psutil.Process().cpu_times()
    busy = sum(getattr(every, kind, 0.0) for kind in ("user", "nice", "system", "steal"))
    return float(busy - sum(getattr(own, kind, 0.0) for kind in ("user", "system", "children_user", "children_system")))


def _spread(ratios: tuple[float, ...]) -> str:
    if not ratios:
        return "-"
    median = f"{statistics.median(ratios):.2f}"
    return median if len(ratios) == 1 else f"{median} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
