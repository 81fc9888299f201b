"""Queries: which runs of a table to show, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from attrs import field, frozen

from mnistkit.errors import UnknownNameError
from mnistkit.runs.record import RunState
from mnistkit.runs.table import RunTable
from mnistkit.utils.clock import utc_now

__all__ = ["RunQuery"]


def _states(values: Iterable[str]) -> tuple[RunState, ...]:
    known = {state.value.casefold(): state for state in RunState}
    found = []
    for value in values:
        if str(value).casefold() not in known:
            raise UnknownNameError(f"There is no state {value!r:.80}; there are {', '.join(RunState)}.")
        found.append(known[str(value).casefold()])
    return tuple(found)


@frozen(kw_only=True)
class RunQuery:
    """A choice of runs and their order; what is None, or empty, leaves nothing out.

    Attributes:
        where: A filter, as `mnistkit.runs.parse_filter` takes it.
        sort: Names separated by commas, descending with a hyphen before it; None keeps the order.
        experiment: Only its runs.
        data: Only runs on the data of this uri.
        states: Only runs in one of these states.
        since: Only runs that were submitted at most this long ago.
        limit: At most this many, from the top.
    """

    where: str | None = None
    sort: str | None = None
    experiment: str | None = None
    data: str | None = None
    states: tuple[RunState, ...] = field(default=(), converter=_states)
    since: timedelta | None = None
    limit: int | None = None

    def apply(self, table: RunTable) -> RunTable:
        """Return the runs that are meant, in their order.

        Raises:
            UnknownNameError: A name in the filter or the order is none of those runs; lists the names that there are.
            UsageError: The filter or the order can't be read.
        """
        states = {state.value for state in self.states}
        oldest = 0.0 if self.since is None else (utc_now() - self.since).timestamp()
        found = table.keep(
            lambda row: (
                self.experiment in {None, row.experiment}
                and self.data in {None, row.data}
                and (not states or row.state in states)
                and (self.since is None or row.created_at >= oldest)
            )
        )
        found = found if self.where is None else found.filter(self.where)
        found = found if self.sort is None else found.sort(self.sort)
        return found if self.limit is None else found[: self.limit]
