"""The hosts of rows on the workers of a cluster: found, made, called all at once, and given up when they are lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from mnistkit.dask.host import Answer, Piece, RowsHost
from mnistkit.errors import ServiceError, UsageError

__all__ = ["Call", "Hosts", "Lost"]

_log = logging.getLogger(__name__)

_WORKER_SECONDS = 5.0  # until there is one
_BUSY_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_PAUSE_SECONDS = 0.05


@frozen(eq=False)
class Call:
    """A call of one host.

    Attributes:
        address: Of its worker.
        pieces: Rows for it to hold first.
        method: Of `RowsHost`.
        arguments: Of the method.
    """

    address: str
    pieces: Sequence[Piece]
    method: str
    arguments: tuple[Any, ...]


class Hosts:
    """An actor per worker that is used. A call to all of them is one round trip."""

    def __init__(self, client: Any, options: Mapping[str, Any]) -> None:
        """Make none yet.

        Args:
            client: Dask's.
            options: Of each `RowsHost`.
        """
        self._client, self._options = client, options
        self._order: list[str] = []
        self._futures: dict[str, Any] = {}
        self._actors: dict[str, Any] = {}
        self._is_closed = False

    def workers(self) -> dict[str, int]:
        """Return the threads of each worker, by address; one that took another's place has its place in the order.

        Raises:
            ServiceError: There is no worker, or no scheduler.
            UsageError: These were closed.
        """
        if self._is_closed:
            raise UsageError("These rows were closed: use them in the with block, or before close().")
        end = time.monotonic() + _WORKER_SECONDS
        while not (present := self._present()):
            if time.monotonic() > end:
                raise ServiceError(
                    f"The Dask cluster at {self._place} has no worker: start one, such as: dask worker {self._place}."
                )
            time.sleep(_PAUSE_SECONDS)
        new = sorted(present.keys() - set(self._order))
        for index, address in enumerate(self._order):
            if address not in present and new:
                self._order[index] = new.pop(0)
        self._order = [address for address in self._order if address in present] + new
        return {address: present[address] for address in self._order}

    def call(self, calls: Sequence[Call]) -> list[Any]:
        """Call hosts, all at once, and return what they return, in order; a `Lost` for each that is lost.

        Raises:
            MnistkitError: A host raised it; any other exception of the user's functions likewise.
        """
        self._make({call.address for call in calls})
        begun = [(call.address, self._begin(call)) for call in calls]
        answers = [self._wait(address, future) for address, future in begun]
        for answer in answers:
            if isinstance(answer, Answer) and answer.error is not None:
                raise answer.error
        return [answer.value if isinstance(answer, Answer) else answer for answer in answers]

    def send(self, call: Call) -> None:
        """Call a host without waiting for it, if it still is there."""
        if call.address in self._actors and self._client.status == "running":
            with contextlib.suppress(Exception):  # it, or all of Dask, is just ending
                self._begin(call)

    def close(self) -> None:
        """Free the actors; idempotent. None can be called any more."""
        self._is_closed = True
        self._actors.clear()
        futures, self._futures = self._futures, {}
        if futures and self._client.status == "running":
            with contextlib.suppress(Exception):  # Dask is just ending
                # Released futures would do, but for what Dask's calls of actors leave to the garbage collector.
                self._client.cancel(list(futures.values()), force=True)

    @property
    def _place(self) -> str:
        scheduler = self._client.scheduler
        return str(scheduler.address) if scheduler is not None else "an address that is closed"

    def _present(self) -> dict[str, int]:
        if self._client.status != "running":
            raise ServiceError(f"The connection to the Dask scheduler at {self._place} is lost: make a new client.")
        try:
            found = self._client.scheduler_info(n_workers=-1)["workers"]
        except Exception as error:
            raise ServiceError(f"The Dask scheduler at {self._place} doesn't respond: {error}.") from error
        return {address: worker["nthreads"] for address, worker in found.items() if worker["status"] != "closing"}

    def _make(self, addresses: set[str]) -> None:
        """Make the hosts that aren't there. One that can't be made is missing afterwards."""
        missing = [address for address in self._order if address in addresses and address not in self._actors]
        for address in missing:
            self._futures[address] = self._client.submit(
                RowsHost, **self._options, key=f"mnistkit-rows-{uuid.uuid4().hex}", actor=True, workers=[address],
                allow_other_workers=True, pure=False,
            )  # fmt: skip
        for address in missing:
            future = self._futures[address]
            with self._client.as_current():  # an actor takes the client that is the current one, not its own
                actor = self._wait(address, future)
            if isinstance(actor, Lost):
                if future.status == "error" and address in self._present():
                    raise ServiceError(
                        f"The worker at {address} can't hold rows: {future.exception()}. It needs mnistkit, in the "
                        "same versions as here."
                    )
            elif actor._address != address:  # noqa: SLF001 - there is no other way to see it
                self._futures.pop(address, None)
            else:
                self._actors[address] = actor

    def _begin(self, call: Call) -> Any:
        actor = self._actors.get(call.address)
        try:
            with self._client.as_current():
                return None if actor is None else actor.call(call.pieces, call.method, *call.arguments)
        except Exception as error:  # noqa: BLE001 - RuntimeError if Dask has seen that it is lost
            _log.debug("could not call the worker at %s: %s", call.address, error)
            return None

    def _wait(self, address: str, future: Any) -> Any:
        """Return the result of a future; a `Lost` if its worker is lost, which is then forgotten."""
        warn_at = time.monotonic() + _BUSY_SECONDS
        while future is not None:
            try:
                return future.result(timeout=_LOOK_SECONDS)
            except (TimeoutError, asyncio.TimeoutError):  # before Python 3.11 they are two
                if address not in self._present():
                    break
                if address not in self._actors and time.monotonic() > warn_at:
                    _log.warning("The rows wait for the worker at %s, which has other tasks.", address)
                    warn_at = float("inf")
            except Exception as error:  # noqa: BLE001 - hosts return errors: what is raised is Dask's
                _log.debug("lost the worker at %s: %s: %s", address, type(error).__name__, error)
                break
        self._actors.pop(address, None)
        self._futures.pop(address, None)
        return Lost()


@frozen
class Lost:
    """In place of a result: the worker is lost, with all that it held."""
