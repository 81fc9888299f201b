"""Rows on a cluster: described, divided among workers, and worked on there, also when some are lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mnistkit.dask.hosts import Call, Hosts, Lost
from mnistkit.dask.parts import Part, PartInfo
from mnistkit.dask.placing import Holdings, Range, Share, shares
from mnistkit.errors import DataFormatError, ServiceError
from mnistkit.estimators.group_sums import row_groups

__all__ = ["RowsCluster", "Tries"]

_MAX_FRUITLESS_TRIES = 10


class RowsCluster:
    """The rows of some parts on the workers of a cluster.

    Attributes:
        infos: What each part holds.
        n_rows: Of all parts.
        unit: Rows: shares of a fit begin at multiples of it, the size of a group.
    """

    def __init__(self, client: Any, parts: Sequence[Part], options: Mapping[str, Any]) -> None:
        """Describe the parts, on workers where their content isn't here, and keep what was read for that.

        Args:
            client: Dask's.
            parts: At least one.
            options: Of `mnistkit.dask.host.RowsHost`.

        Raises:
            DataFormatError: They can't be read, or aren't alike.
            ServiceError: There is no worker.
        """
        self._hosts = Hosts(client, options)
        self._lock = threading.RLock()  # several threads of a fit may read rows
        self.infos, places = self._describe(parts)
        starts = [0, *np.cumsum([info.n_rows for info in self.infos]).tolist()]
        self.n_rows: int = starts[-1]
        self.unit = row_groups(self.n_rows)[0][1]
        self._holdings = Holdings(parts, starts)
        self._place(places, starts)

    def fit_shares(self) -> list[Share]:
        """Return the shares of a fit, and free the rows that workers hold for no reason any more."""
        with self._lock:
            wanted = self.shares([(0, self.n_rows)], self.unit)
            for address, ranges in self._holdings.exceeding(wanted).items():
                (kept,) = self._hosts.call([Call(address, (), "keep", (ranges,))])
                self._holdings.replace(address, () if isinstance(kept, Lost) else kept)
            return wanted

    def shares(self, ranges: Sequence[Range], unit: int) -> list[Share]:
        """Divide ranges among the present workers; see `mnistkit.dask.placing.shares`."""
        return shares(ranges, unit, self._hosts.workers())

    def call(self, calls: Sequence[tuple[Share, str, tuple[Any, ...]]]) -> list[Any]:
        """Call a method for each share, on its worker, which holds the share's rows by then.

        Returns:
            What was returned, in order; a `Lost` for each worker that is lost.

        Raises:
            MnistkitError: A method raised it; any other exception of the user's functions likewise.
        """
        with self._lock:
            sent = [Call(share.address, self._holdings.missing(share), method, args) for share, method, args in calls]
            results = self._hosts.call(sent)
            for call, result in zip(sent, results, strict=True):
                if isinstance(result, Lost):
                    self._holdings.replace(call.address, ())
                else:
                    held = [(piece.start, piece.start + piece.n_rows) for piece in call.pieces]
                    self._holdings.hold(call.address, held)
            return results

    def on_shares(
        self, method: str, arguments: Callable[[Share], tuple[Any, ...] | None], block_rows: int = 1
    ) -> list[tuple[Share, Any]]:
        """Call a method for shares that make up all rows; those of a lost worker are repeated elsewhere.

        Args:
            method: Of `mnistkit.dask.host.RowsHost`.
            arguments: Of a share; None if there is nothing to call.
            block_rows: Each share begins at a multiple of it.

        Returns:
            The shares and what was returned, in the order of the rows.
        """
        unit = self.unit if self.unit % block_rows == 0 else block_rows
        waiting: list[Range] = [(0, self.n_rows)]
        found: list[tuple[Share, Any]] = []
        tries = Tries()
        while waiting:
            given = [(share, arguments(share)) for share in self.shares(waiting, unit)]
            calls = [(share, method, each) for share, each in given if each is not None]
            results = self.call(calls)
            waiting = []
            for (share, _, _), result in zip(calls, results, strict=True):
                if isinstance(result, Lost):
                    waiting.append((share.start, share.stop))
                else:
                    found.append((share, result))
            tries.count(len(found))
        return sorted(found, key=lambda item: item[0].start)

    def send(self, address: str, method: str, *arguments: Any) -> None:
        """Call a method of a worker without waiting for it."""
        self._hosts.send(Call(address, (), method, arguments))

    def close(self) -> None:
        """Free the rows; idempotent."""
        self._hosts.close()

    def _describe(self, parts: Sequence[Part]) -> tuple[list[PartInfo], dict[int, str]]:
        """Return what the parts hold, and which worker has kept the rows of which."""
        infos = {number: part.describe()[0] for number, part in enumerate(parts) if part.is_here}
        places: dict[int, str] = {}
        tries = Tries()
        workers = self._hosts.workers()  # also where nothing has to be described: without any, nothing can be done
        while waiting := [number for number in range(len(parts)) if number not in infos]:
            given = {
                share.address: waiting[share.start : share.stop] for share in shares([(0, len(waiting))], 1, workers)
            }
            results = self._hosts.call(
                [Call(to, (), "describe", ({n: parts[n] for n in numbers},)) for to, numbers in given.items()]
            )
            for (address, numbers), result in zip(given.items(), results, strict=True):
                if not isinstance(result, Lost):
                    infos |= result
                    places |= dict.fromkeys(numbers, address)
            tries.count(len(infos))
            workers = self._hosts.workers()
        ordered = [infos[number] for number in range(len(parts))]
        _check_alike(ordered)
        return ordered, places

    def _place(self, places: Mapping[int, str], starts: Sequence[int]) -> None:
        """Let workers use the rows that they kept; what is lost with one is loaded when it is used."""
        for address in sorted(set(places.values())):
            numbers = {number: starts[number] for number, place in places.items() if place == address}
            (placed,) = self._hosts.call([Call(address, (), "place", (numbers,))])
            if not isinstance(placed, Lost):
                self._holdings.replace(address, placed)


class Tries:
    """Counts tries that come to nothing: workers may be lost, but not for ever."""

    def __init__(self) -> None:
        self._done, self._fruitless = 0, 0

    def count(self, done: int) -> None:
        """Note how much is done by now.

        Raises:
            ServiceError: It hasn't become more for too long.
        """
        self._fruitless = 0 if done > self._done else self._fruitless + 1
        self._done = done
        if self._fruitless >= _MAX_FRUITLESS_TRIES:
            raise ServiceError(
                f"The workers of the Dask cluster were lost {_MAX_FRUITLESS_TRIES} times in a row, whatever was tried: "
                "see their logs. Are they out of memory?"
            )


def _check_alike(infos: Sequence[PartInfo]) -> None:
    for number, info in enumerate(infos):
        if (info.row_shape, info.dtype) != (infos[0].row_shape, infos[0].dtype):
            raise DataFormatError(
                f"Part {number} has {info.dtype} rows of shape {info.row_shape}, but part 0 {infos[0].dtype} rows of "
                f"shape {infos[0].row_shape}."
            )
    if not sum(info.n_rows for info in infos):
        raise DataFormatError("The parts hold no row.")
