"""Runs jobs on a Dask cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from mnistkit.dask._sdk import Connection
from mnistkit.dask.mirror import Mirror, TaskInfo
from mnistkit.dask.plugin import RunsPlugin
from mnistkit.dask.sender import Batch, Sender
from mnistkit.dask.shipping import Shipping
from mnistkit.dask.tracker import Tracker
from mnistkit.data.source import DataSource
from mnistkit.errors import MnistkitError, UsageError
from mnistkit.jobs.environment import library_versions
from mnistkit.jobs.job import Job
from mnistkit.runs.folder.backend import FolderBackend
from mnistkit.runs.folder.child import Limits
from mnistkit.runs.folder.owner import Owner
from mnistkit.runs.record import RunRecord, RunState
from mnistkit.runs.row import RunRow
from mnistkit.utils.lifetime import finish_at_exit

__all__ = ["DaskCompute"]

_log = logging.getLogger(__name__)

_CANCEL_SECONDS = 5.0
_PAUSE_SECONDS = 0.02
_MAX_SHIPPED_BYTES = 256 << 20


class DaskCompute(FolderBackend):
    """Runs jobs on a Dask cluster: that of a client, that at an address, or workers in this process.

    Each job runs in child processes below a worker, as with `mnistkit.local.ProcessCompute`: canceling ends it at once,
    its timeout, memory limit and retries hold, its log is capped, and nothing of it is left. Run folders travel as
    bytes; the records stay in ``home/runs`` of the program that submitted them. When that program ends, its runs end,
    unless they were submitted with ``detach``: then any later backend of the same home and cluster collects them.

    A run whose worker is lost gets another attempt if its job's ``retry_on`` has ``"killed"`` and it has ``retries``
    left; else it is Failed. Scheduler and workers need mnistkit and the same versions of the libraries.
    """

    def __init__(
        self,
        home: str | os.PathLike[str],
        *,
        client: Any = None,
        address: str | None = None,
        security: Mapping[str, Any] | Any = None,
        data: str = "ship",
        max_shipped_bytes: int = _MAX_SHIPPED_BYTES,
        workers: int | None = None,
        parallel: int | None = None,
        versions: str = "same",
        grace: float = 3.0,
        memory_limit: int | None = None,
    ) -> None:
        """Make a backend that keeps its runs in ``home/runs``; nothing is connected or started yet.

        Args:
            home: The folder.
            client: A `distributed.Client` of the cluster.
            address: Of the cluster's scheduler, such as ``"tls://10.0.0.5:8786"``. Without it, and without a client,
                the workers are threads of this process, which open no port and end with it.
            security: For TLS: a `distributed.Security`, or its options ``tls_ca_file``, ``tls_client_cert`` and
                ``tls_client_key`` as a mapping.
            data: How the data reaches the workers: ``"ship"`` sends it, compressed, once for each content;
                ``"shared"`` puts it into ``home``, which all of them must see; ``"fetch"`` lets each of them fetch it
                by its uri.
            max_shipped_bytes: The most that is sent.
            workers: How many workers to start in this process, each of which runs one job at a time; None for
                ``parallel``, or one per core.
            parallel: How many runs at a time, the rest being Queued; None for as many as the cluster has room for.
            versions: ``"same"`` fails a run on a worker with other minor versions of the libraries before it starts;
                ``"any"`` runs it.
            grace: Seconds that a job which is canceled or too late has between SIGTERM and SIGKILL.
            memory_limit: Bytes of address space that each process of a job may have; None for no limit.

        Raises:
            UsageError: Options contradict each other, or one can't be right.
            MissingExtraError: Dask isn't installed.
        """
        super().__init__(home, parallel)
        _check_options(client, address, workers, versions)
        self._connection = Connection(client, address, security, workers or self._parallel, RunsPlugin())
        self._shipping = Shipping(self._connection, Path(home).absolute(), data, max_shipped_bytes)
        self._mirror = Mirror(self._root)
        self._tracker = Tracker(self._connection, self._store, self._mirror)
        self._grace = grace
        self._holds_back = parallel is not None
        self._sender = Sender(
            self._connection,
            self._store,
            self._mirror,
            self._tracker,
            self._shipping,
            limits=Limits(grace=grace, memory=memory_limit, threads=0),
            versions=library_versions() if versions == "same" else {},
            parallel=parallel,
        )

    @property
    def client(self) -> Any:
        """The Dask client, connected: for `mnistkit.dask.DaskRows`.

        Raises:
            ServiceError: Nothing responds at the address.
        """
        return self._connection.client()

    def submit_group(self, jobs: Sequence[Job], data: DataSource, *, detach: bool = False) -> tuple[RunRecord, ...]:
        """Queue the jobs and return their records; see `mnistkit.interfaces.SupportsGroups.submit_group`.

        With ``detach`` it returns once the cluster has them.

        Raises:
            ServiceError: Nothing responds at the address.
        """
        if detach and (not self._connection.outlives or self._holds_back):
            raise UsageError(
                "Runs outlive this program on a cluster that does: detach=True needs the address of a scheduler, and "
                "no 'parallel', since nobody would send the rest."
            )
        self._shipping.check(data)
        if not self._connection.is_ours:
            self._connection.client()
        run_ids = self._create(jobs, data, Owner.of(os.getpid()))
        waiting = tuple(run_id for run_id in run_ids if not self._store.state(run_id).is_terminal)
        if waiting:
            finish_at_exit(self, DaskCompute._finish)
            self._sender.start(Batch(waiting, data, detach, self._noop))
        return tuple(self._shown(run_id) for run_id in run_ids)

    def get(self, run_id: str) -> RunRecord:
        """Return the present record; see `ComputeBackend.get`."""
        if not self._store.read(run_id).state.is_terminal:
            self._tracker.refresh([run_id])
        return self._shown(run_id)

    def runs(self, experiment: str | None = None) -> tuple[RunRecord, ...]:
        """Return all records, newest first; see `ComputeBackend.runs`."""
        records = super().runs(experiment)
        unfinished = [record.id for record in records if not record.state.is_terminal]
        if not unfinished:
            return records
        self._tracker.refresh(unfinished)
        return tuple(self._shown(r.id) if r.id in unfinished else r for r in records)

    def run_rows(self, experiment: str | None = None) -> tuple[RunRow, ...]:
        """Return a row for each run, newest first; see `SupportsRunRows.run_rows`."""
        rows = super().run_rows(experiment)
        unfinished = [row.id for row in rows if not RunState(row.state).is_terminal]
        if not unfinished:
            return rows
        self._tracker.refresh(unfinished)
        return tuple(RunRow.of(self._shown(row.id)) if row.id in unfinished else row for row in rows)

    def cancel(self, run_id: str) -> None:
        """End the run, whichever program submitted it; see `ComputeBackend.cancel`.

        Raises:
            ServiceError: The run is on a cluster that doesn't respond. It is ended as soon as that does.
        """
        if self.get(run_id).state.is_terminal:
            return
        self._store.request_cancel(run_id)
        if self._sender.cancel(run_id):
            return
        info = self._mirror.task(run_id)
        if info is not None and not self._is_of_another_program(info):
            self._tracker.cancel(info, run_id)
        deadline = time.monotonic() + _CANCEL_SECONDS
        while not _has_started(self.get(run_id)) and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)

    def logs(self, run_id: str, *, start: int = 0) -> str:
        """Return the log; see `ComputeBackend.logs`."""
        if not self.get(run_id).state.is_terminal:
            self._tracker.read_log(run_id)
        return super().logs(run_id, start=start)

    def delete_run(self, run_id: str) -> None:
        """Remove a finished run and all its files; see `SupportsDelete.delete_run`."""
        super().delete_run(run_id)
        self._mirror.drop(run_id)

    def close(self) -> None:
        """End the runs of this program that aren't detached, and the connection. The records stay."""
        for task in self._tracker.tasks:
            if not task.info.is_detached:
                self._tracker.fail(task.info.runs, "The backend that submitted it was closed.")
                self._tracker.release(task.info)
        self._connection.close()

    def _noop(self) -> None:
        """Keep this backend until a batch has ended, so that the program's exit waits for it."""

    def _shown(self, run_id: str) -> RunRecord:
        record = self._mirror.merged(self._store.read(run_id))
        if record.state is not RunState.QUEUED:
            return record
        return attrs.evolve(record, waits_for=self._tracker.waits_for(run_id))

    def _is_of_another_program(self, info: TaskInfo) -> bool:
        return not info.is_detached and all(task.info.key != info.key for task in self._tracker.tasks)

    def _finish(self) -> None:
        """Wait for the runs that end with this program; on Ctrl-C cancel them."""
        try:
            while self._wanted():
                time.sleep(_PAUSE_SECONDS)
        except KeyboardInterrupt:
            wanted = self._wanted()
            for run_id in wanted:
                try:
                    self.cancel(run_id)
                except (MnistkitError, OSError) as error:
                    _log.debug("could not cancel run %s: %s", run_id, error)
            _log.warning("Interrupted: canceled %s.", ", ".join(sorted(wanted)) or "nothing")
        deadline = time.monotonic() + self._grace + _CANCEL_SECONDS
        with contextlib.suppress(KeyboardInterrupt):
            while self._unfinished() and time.monotonic() < deadline:  # what was canceled is being collected
                time.sleep(_PAUSE_SECONDS)
        if self._connection.is_open:
            self._connection.close()

    def _unfinished(self) -> list[str]:
        """Return the runs that end with this program, and haven't."""
        sent = [run_id for task in self._tracker.tasks if not task.info.is_detached for run_id in task.info.runs]
        return [run_id for run_id in [*self._sender.unsent, *sent] if not self._tracker.is_over(run_id)]

    def _wanted(self) -> list[str]:
        """Return those of them whose cancellation wasn't requested."""
        wanted = []
        for run_id in self._unfinished():
            with contextlib.suppress(MnistkitError, OSError):  # it has just gone
                if not self._store.is_cancel_requested(run_id):
                    wanted.append(run_id)
        return wanted


def _check_options(client: Any, address: str | None, workers: int | None, versions: str) -> None:
    if client is not None and address is not None:
        raise UsageError("Both a client and an address were given: a client has its own. Give one of them.")
    if workers is not None and workers < 1:
        raise UsageError(f"workers={workers}: start at least one worker.")
    if workers is not None and (client is not None or address is not None):
        raise UsageError(f"workers={workers} are started in this process: a cluster elsewhere has its own.")
    if versions not in {"same", "any"}:
        raise UsageError(f"versions={versions!r}: use 'same' or 'any'.")


def _has_started(record: RunRecord) -> bool:
    """Return True if a run has left the queue, or ended there."""
    waiting = {RunState.QUEUED, RunState.CANCEL_REQUESTED}
    return any(transition.state not in waiting for transition in record.transitions)
