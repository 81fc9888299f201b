"""What the comparisons share: measuring two ways in turn, and saying what came out."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable

from attrs import frozen

__all__ = ["Result", "compare", "table", "timed"]


@frozen(kw_only=True)
class Result:
    """Two ways of doing one thing.

    Attributes:
        what: The thing.
        a: The way to compare with.
        b: The way that is looked at.
        a_value: The median of ``a``, in `unit`.
        b_value: The median of ``b``, in `unit`.
        unit: ``"ms"``, or ``"per s"``.
        n: How many pairs were measured.
    """

    what: str
    a: str
    b: str
    a_value: float
    b_value: float
    unit: str
    n: int

    @property
    def ratio(self) -> float:
        """``b`` over ``a``."""
        return self.b_value / self.a_value


def compare(what: str, a: tuple[str, Callable[[], object]], b: tuple[str, Callable[[], object]], *, n: int) -> Result:
    """Time ``a`` and ``b`` in turn, so that a slow moment of the machine meets both; one pair to warm up doesn't count.

    Args:
        what: The thing that both do.
        a: Label and function of the way to compare with.
        b: Label and function of the way that is looked at.
        n: How many pairs.
    """
    (a_label, run_a), (b_label, run_b) = a, b
    pairs = [(timed(run_a), timed(run_b)) for _ in range(n + 1)][1:]
    a_median, b_median = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
    return Result(what=what, a=a_label, b=b_label, a_value=a_median, b_value=b_median, unit="ms", n=n)


def timed(run: Callable[[], object]) -> float:
    """Seconds that ``run`` takes."""
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def table(results: Iterable[Result]) -> str:
    """The results as a Markdown table."""
    lines = ["| what | A | B | median A | median B | B / A | pairs |", "|---|---|---|--:|--:|--:|--:|"]
    for r in results:
        a, b = (f"{value:,.1f} {r.unit}" for value in (r.a_value, r.b_value))
        lines.append(f"| {r.what} | {r.a} | {r.b} | {a} | {b} | {r.ratio:.2f} | {r.n} |")
    return "\n".join(lines)
