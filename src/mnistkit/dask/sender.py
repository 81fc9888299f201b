"""Submission of runs to a cluster: the data is fetched, run folders are packed, and a task is made of them."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence

from attrs import field, frozen

from mnistkit.dask._sdk import Connection
from mnistkit.dask.mirror import Mirror, TaskInfo
from mnistkit.dask.node import Order, run_order
from mnistkit.dask.plugin import RUN_PREFIX
from mnistkit.dask.shipping import Shipment, Shipping
from mnistkit.dask.tracker import Task, Tracker
from mnistkit.data.source import DataSource
from mnistkit.runs.folder.child import Limits
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.folder.packing import pack
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState

__all__ = ["Batch", "Sender"]


@frozen
class Batch:
    """Runs that one task is to carry out.

    Attributes:
        runs: Their ids, in order.
        data: What they run on.
        is_detached: Whether they outlive this program.
        on_end: Called once all of them have ended.
    """

    runs: tuple[str, ...]
    data: DataSource
    is_detached: bool
    on_end: Callable[[], object] = field(repr=False)


class Sender:
    """Sends the runs of one backend, at most ``parallel`` unfinished batches at a time."""

    def __init__(
        self,
        connection: Connection,
        store: RunStore,
        mirror: Mirror,
        tracker: Tracker,
        shipping: Shipping,
        *,
        limits: Limits,
        versions: Mapping[str, str],
        parallel: int | None,
    ) -> None:
        self._connection = connection
        self._store = store
        self._mirror = mirror
        self._tracker = tracker
        self._shipping = shipping
        self._limits = limits
        self._versions = versions
        self._slots = threading.Semaphore(parallel) if parallel else None
        self._lock = threading.RLock()
        self._unsent: set[str] = set()
        self._clock: float | None = None

    @property
    def unsent(self) -> list[str]:
        """The runs that are on this side, and haven't ended."""
        return list(self._unsent)

    def start(self, batch: Batch) -> None:
        """Send a batch: at once if it is detached, else in a thread."""
        with self._lock:
            self._unsent.update(batch.runs)
        if batch.is_detached:
            self._send(batch)
        else:
            threading.Thread(target=self._send, args=(batch,), name=batch.runs[0], daemon=True).start()

    def cancel(self, run_id: str) -> bool:
        """Cancel a run that wasn't sent, and return True; return False for others."""
        with self._lock:
            if run_id not in self._unsent:
                return False
            self._unsent.discard(run_id)
            self._store.advance(run_id, RunState.CANCELED)
            return True

    def _send(self, batch: Batch) -> None:
        """Fetch the data and submit a task; whatever goes wrong is why the runs failed."""
        if self._slots:
            self._slots.acquire()
        is_sent = False
        try:
            shipment = self._shipping.shipment(batch.data)
            clock = self._clock_offset()
            with self._lock:  # what was canceled by now isn't sent; what is sent is canceled there
                for run_id in self._unsent.intersection(batch.runs):
                    if self._store.is_cancel_requested(run_id):  # by another program
                        self.cancel(run_id)
                left = tuple(run_id for run_id in batch.runs if run_id in self._unsent)
                if left:
                    self._submit(left, batch, shipment, clock)
                    is_sent = True
        except Exception as error:  # noqa: BLE001 - whatever a source raises is why the runs failed
            self._fail(batch.runs, error)
        finally:
            with self._lock:
                self._unsent.difference_update(batch.runs)
            if not is_sent:
                self._on_end(batch)

    def _submit(self, run_ids: tuple[str, ...], batch: Batch, shipment: Shipment, clock: float) -> None:
        key = f"{RUN_PREFIX}{run_ids[0]}"
        info = TaskInfo(
            key=key,
            runs=run_ids,
            scheduler=self._tracker.scheduler_id(),
            address=self._connection.place,
            is_detached=batch.is_detached,
        )
        order = Order(
            key=key,
            runs={run_id: pack(self._store.folder(run_id)) for run_id in run_ids},
            uri=batch.data.uri,
            digest=shipment.digest,
            path=shipment.path,
            limits=self._limits,
            versions=self._versions,
            clock=clock,
        )
        self._mirror.add(info)
        future = self._connection.submit(key, run_order, order, shipment.future)
        if batch.is_detached:
            self._connection.publish(key, future)
            for run_id in run_ids:
                self._store.hand_over(run_id, Owner.elsewhere())
        self._tracker.add(Task(info, future, lambda: self._on_end(batch)))

    def _fail(self, run_ids: Sequence[str], error: Exception) -> None:
        line = "".join(traceback.format_exception_only(error)).strip()
        with self._lock:
            for run_id in self._unsent.intersection(run_ids):
                self._mirror.drop(run_id)
                self._store.advance(run_id, RunState.FAILED, error=line, traceback=traceback.format_exc())

    def _on_end(self, batch: Batch) -> None:
        if self._slots:
            self._slots.release()
        batch.on_end()

    def _clock_offset(self) -> float:
        """Return how many seconds this machine's clock is ahead of the scheduler's, measured once."""
        if self._clock is None:
            self._connection.client()
            asked_at = time.time()
            there = self._connection.clock()
            self._clock = (asked_at + time.time()) / 2 - there
        return self._clock
