"""Runs jobs on a cluster of an Azure ML workspace."""

from __future__ import annotations

import atexit
import os
import re
import secrets
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from attrs import frozen

from mnistkit.azureml.v1.cluster import Cluster, ClusterSettings, ClusterStatus
from mnistkit.azureml.v1.environments import NodeEnvironment, node_environment
from mnistkit.azureml.v1.runs.files import fetch_file
from mnistkit.azureml.v1.runs.history import History
from mnistkit.azureml.v1.runs.reader import RunReader
from mnistkit.azureml.v1.runs.staging import ENTRY, needs_data
from mnistkit.azureml.v1.runs.submission import Pending, Submitter, SubmitWith
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.data.source import DataSource
from mnistkit.errors import RunNotFoundError, UsageError
from mnistkit.jobs.job import Job, TrainingJob
from mnistkit.jobs.provenance import Provenance
from mnistkit.jobs.spec import check_classifier
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.record import RunRecord, RunState, Transition
from mnistkit.utils.clock import utc_now
from mnistkit.utils.names import check_file

__all__ = ["AmlCompute", "Plan"]

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
_CANCEL_SECONDS = 10.0


@frozen(kw_only=True)
class Plan:
    """What `AmlCompute.submit` would do.

    Attributes:
        cluster: Where it would run.
        environment: What the node would install.
        entry: What would be started there.
        data: The uri of the data; None if the job reads none.
        mode: How the data would reach the node.
        max_run_duration_seconds: After which Azure would end the run.
        submit_with: The SDK's class.
    """

    cluster: ClusterSettings
    environment: NodeEnvironment
    entry: str
    data: str | None
    mode: Literal["mount", "download"]
    max_run_duration_seconds: int
    submit_with: SubmitWith


class AmlCompute(ComputeBackend):
    """Runs jobs on a cluster of an Azure ML workspace, and finds them again there from any process.

    The runs' records, logs, metrics and files are the workspace's; nothing is kept on this machine. A job that fits on
    a node starts when one is free, so a sweep is as parallel as the cluster is large. Making one does no I/O: the
    workspace is connected to when it is first needed.
    """

    def __init__(
        self,
        workspace: Any = None,
        *,
        name: str | None = None,
        vm_size: str | None = None,
        min_nodes: int | None = None,
        max_nodes: int | None = None,
        idle_seconds: int = 120,
        submit_with: SubmitWith = "estimator",
        mode: Literal["mount", "download"] = "mount",
        max_run_duration_seconds: int = 24 * 3600,
        seconds: float | None = None,
    ) -> None:
        """Say which cluster, and what it should be if it is to be created.

        Args:
            workspace: What `connect` returns, or a `Connection`; None for ``connect()`` when it is first needed.
            name: The cluster's; None for ``AML_COMPUTE_CLUSTER_NAME``, else ``"cpu-cluster"``.
            vm_size: Its machine type; None for ``AML_COMPUTE_CLUSTER_SKU``, else ``"STANDARD_D2_V2"``.
            min_nodes: Machines that are always there; None for ``AML_COMPUTE_CLUSTER_MIN_NODES``, else 0.
            max_nodes: Machines at most; None for ``AML_COMPUTE_CLUSTER_MAX_NODES``, else 4.
            idle_seconds: Seconds without work after which a machine goes.
            submit_with: ``"estimator"``, as the tutorial does, or ``"script_run_config"``.
            mode: Whether the node mounts the data or downloads it.
            max_run_duration_seconds: After which Azure ends a run whose job has no ``timeout``.
            seconds: How long one call to Azure may take; None for two minutes.

        Raises:
            InvalidNameError: Azure doesn't take the cluster's name.
            ConfigError: An environment variable isn't what it should be.
            UsageError: A number, the machine type, the mode or ``submit_with`` can't be right.
        """
        if submit_with not in {"estimator", "script_run_config"} or mode not in {"mount", "download"}:
            raise UsageError(
                f"submit_with={submit_with!r}, mode={mode!r}: use 'estimator' or 'script_run_config', "
                "and 'mount' or 'download'."
            )
        if max_run_duration_seconds < 1:
            raise UsageError(f"max_run_duration_seconds={max_run_duration_seconds}: use at least 1.")
        settings = ClusterSettings.of(
            name=name, vm_size=vm_size, min_nodes=min_nodes, max_nodes=max_nodes, idle_seconds=idle_seconds
        )
        self._connection = Connection.of(workspace)
        self._cluster = Cluster(self._connection, settings, seconds)
        self._history = History(self._connection, seconds)
        self._reader = RunReader(self._history)
        self._submitter = Submitter(
            self._connection, self._history, self._cluster.target, submit_with, mode, max_run_duration_seconds, seconds
        )
        self._lock = threading.Lock()
        self._pending: OrderedDict[str, Pending] = OrderedDict()
        self._threads: dict[str, threading.Thread] = {}
        self._mounting: dict[str, threading.Lock] = {}
        _backends.add(self)

    @classmethod
    def from_home(
        cls,
        home: str | os.PathLike[str],
        *,
        config: str | None = None,
        workspace: Any = None,
        resource_group: str | None = None,
        subscription_id: str | None = None,
        credentials: str | None = None,
        name: str | None = None,
        vm_size: str | None = None,
        min_nodes: int | None = None,
        max_nodes: int | None = None,
        idle_seconds: int = 120,
        submit_with: SubmitWith = "estimator",
        mode: Literal["mount", "download"] = "mount",
        max_run_duration_seconds: int = 24 * 3600,
    ) -> AmlCompute:
        """The backend ``"amlcompute"`` of a configuration file; ``home`` isn't used: the workspace keeps all.

        Args:
            home: The folder for what is kept on this machine.
            config: As in `mnistkit.azureml.connect`.
            workspace: The name there; or what it returns.
            resource_group: As there.
            subscription_id: As there.
            credentials: As there.
            name: As in `AmlCompute`, like what follows.
            vm_size: As there.
            min_nodes: As there.
            max_nodes: As there.
            idle_seconds: As there.
            submit_with: As there.
            mode: As there.
            max_run_duration_seconds: As there.
        """
        del home
        if workspace is None or isinstance(workspace, str):
            workspace = Connection(
                config=config,
                name=workspace,
                resource_group=resource_group,
                subscription_id=subscription_id,
                credentials=credentials,
            )
        return cls(
            workspace,
            name=name,
            vm_size=vm_size,
            min_nodes=min_nodes,
            max_nodes=max_nodes,
            idle_seconds=idle_seconds,
            submit_with=submit_with,
            mode=mode,
            max_run_duration_seconds=max_run_duration_seconds,
        )

    @property
    def workspace(self) -> Any:
        """The SDK's workspace, connected to if need be."""
        return self._connection.workspace

    @property
    def settings(self) -> ClusterSettings:
        """What the cluster is, or will be if it is created."""
        return self._cluster.settings

    # The cluster

    def ensure(
        self, *, timeout: float = 1200.0, progress: Callable[[ClusterStatus], None] | None = None
    ) -> ClusterStatus:
        """Reuse the cluster of that name, or create it, and wait until it is ready. Idempotent.

        Args:
            timeout: Seconds to wait at most; creating takes Azure some minutes.
            progress: Called with the status whenever that changes; the log tells it too.

        Raises:
            UsageError: The region has no such machine type, or the name is taken by something else.
            QuotaError: The subscription has no room for it.
            ServiceError: It couldn't be provisioned; the message has Azure's errors.
            ServiceTimeoutError: It isn't ready in time; it goes on.
        """
        return self._cluster.ensure(timeout=timeout, progress=progress)

    def status(self) -> ClusterStatus:
        """What the cluster is now, with the machines that are there and cost.

        Raises:
            NotFoundError: There is none of that name.
        """
        return self._cluster.status()

    def delete(self) -> None:
        """Delete the cluster; its runs stay. Idempotent; it is gone some minutes later."""
        self._cluster.delete()

    # The runs

    def plan(self, job: Job, data: DataSource) -> Plan:
        """What `submit` would do with the job. Nothing is asked of Azure, nothing is submitted.

        Raises:
            SpecError: As `submit`.
            NotFoundError: As `submit`.
        """
        _check(job)
        submitter = self._submitter
        return Plan(
            cluster=self.settings,
            environment=node_environment(job),
            entry=ENTRY[job.kind],
            data=data.uri if needs_data(job) else None,
            mode=submitter.mode,
            max_run_duration_seconds=submitter.duration(job),
            submit_with=submitter.submit_with,
        )

    def submit(self, job: Job, data: DataSource, *, detach: bool = False) -> RunRecord:  # noqa: ARG002 - every run outlives this process
        """Stage the job and return; data and job are sent on a thread. See `ComputeBackend.submit`.

        A program that ends waits until what it has submitted is in the workspace; from then on runs need it no more.
        """
        _check(job)
        at = utc_now()
        record = RunRecord(
            id=f"mnistkit-{at:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
            job=job,
            data=data.uri,
            transitions=(Transition(RunState.QUEUED, at),),
            tags=dict(job.tags),
            provenance=Provenance.of(job),
        )
        pending = Pending(record, data, self._submitter)
        with self._lock:
            self._pending[record.id] = pending
            self._threads[record.id] = pending.start(self._mount, self._arrived)
        return record

    def get(self, run_id: str) -> RunRecord:
        """The present record; see `ComputeBackend.get`."""
        with self._lock:
            pending = self._pending.get(run_id)
        return pending.record if pending is not None else self._reader.record(_checked(run_id))

    def runs(self, experiment: str | None = None) -> tuple[RunRecord, ...]:
        """All records of runs that mnistkit submitted, newest first; see `ComputeBackend.runs`."""
        with self._lock:
            waiting = {run_id: pending.record for run_id, pending in self._pending.items()}
        found = [dto for dto in self._history.all(experiment) if dto.run_id not in waiting]
        with ThreadPoolExecutor(8) as pool:
            read = [record for record in pool.map(self._reader.listed, found) if record is not None]
        mine = [record for record in waiting.values() if experiment in {None, record.experiment}]
        return tuple(sorted([*read, *mine], key=lambda record: (record.created_at, record.id), reverse=True))

    def cancel(self, run_id: str) -> None:
        """Ask a run to stop; see `ComputeBackend.cancel`."""
        with self._lock:
            pending = self._pending.get(run_id)
        if pending is not None and pending.cancel():
            return
        state = self._reader.state(_checked(run_id))
        if state.is_terminal or state is RunState.CANCEL_REQUESTED:
            return
        self._history.cancel(run_id)
        deadline = time.monotonic() + _CANCEL_SECONDS
        while self._reader.state(run_id) in {RunState.QUEUED, RunState.PREPARING} and time.monotonic() < deadline:
            time.sleep(0.1)
        self._reader.forget(run_id)

    def logs(self, run_id: str, *, start: int = 0) -> str:
        """What the run has written; see `ComputeBackend.logs`."""
        with self._lock:
            if run_id in self._pending:
                return ""
        return self._reader.log(_checked(run_id))[start:]

    def download(self, run_id: str, file: str, into: Path) -> Path:
        """Copy one file of a run, verified by the list of files that the node made; see `ComputeBackend.download`.

        Raises:
            DownloadError: What came isn't what the run has left, also after another try.
        """
        with self._lock:
            known = run_id in self._pending
        if not known:
            self._history.handle(_checked(run_id))
        check_file(file)
        files = self.get(run_id).files
        return fetch_file(self._history, run_id, file, files, into)

    def _mount(self, data: DataSource) -> Any:
        from mnistkit.azureml.v1.data import mount

        with self._lock:
            one_at_a_time = self._mounting.setdefault(data.uri, threading.Lock())
        with one_at_a_time:
            return mount(self._connection.workspace, data, mode=self._submitter.mode)

    def _arrived(self, run_id: str) -> None:
        with self._lock:
            self._pending.pop(run_id, None)
            self._threads.pop(run_id, None)

    def _finish(self) -> None:
        """Wait until what was submitted is in the workspace."""
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join()


def _check(job: Job) -> None:
    if isinstance(job, TrainingJob):
        check_classifier(job.model.build())
    else:
        job.check()


def _checked(run_id: str) -> str:
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise RunNotFoundError(f"{run_id!r:.120} is no id of a run: 'mnistkit runs list' shows them.")
    return run_id


_backends: weakref.WeakSet[AmlCompute] = weakref.WeakSet()


def _finish_all() -> None:
    for backend in tuple(_backends):
        backend._finish()  # noqa: SLF001 - of this module


# Before the thread pools end, which the SDK sends with: what is registered with atexit comes after that.
getattr(threading, "_register_atexit", atexit.register)(_finish_all)
