"""Runs jobs on a cluster of an Azure ML workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import frozen

from mnistkit.azureml.cluster import ClusterSettings, ClusterStatus
from mnistkit.azureml.deployments import target_options
from mnistkit.azureml.environments import NodeEnvironment
from mnistkit.azureml.runs.compute import WorkspaceCompute, check_job
from mnistkit.azureml.runs.pending import duration_seconds
from mnistkit.azureml.runs.staging import ENTRY, needs_data
from mnistkit.azureml.v1.cluster import Cluster
from mnistkit.azureml.v1.environments import environment_of
from mnistkit.azureml.v1.history import SdkHistory
from mnistkit.azureml.v1.submission import SdkSubmitter, SubmitWith
from mnistkit.azureml.v1.workspace import Connection
from mnistkit.data.source import DataSource
from mnistkit.errors import UsageError
from mnistkit.jobs.job import Job

__all__ = ["AmlCompute", "Plan"]


@frozen(kw_only=True)
class Plan:
    """The request that `AmlCompute.submit` would send.

    Attributes:
        cluster: The cluster to run on.
        environment: The node's requirements.
        entry: The file to start there.
        data: The uri of the data; None if the job reads none.
        mode: How the data reaches the node.
        max_run_duration_seconds: The run's time limit.
        submit_with: The SDK's class.
    """

    cluster: ClusterSettings
    environment: NodeEnvironment
    entry: str
    data: str | None
    mode: Literal["mount", "download"]
    max_run_duration_seconds: int
    submit_with: SubmitWith


class AmlCompute(WorkspaceCompute):
    """Runs jobs on a cluster of an Azure ML workspace, and finds them there from any process.

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
        """Choose the cluster, and its settings if it is to be created.

        Args:
            workspace: What `connect` returns, or a `Connection`; None for ``connect()`` when it is first needed.
            name: The cluster's; None for ``AML_COMPUTE_CLUSTER_NAME``, else ``"cpu-cluster"``.
            vm_size: The machine type; None for ``AML_COMPUTE_CLUSTER_SKU``, else ``"STANDARD_D2_V2"``.
            min_nodes: Machines that always exist; None for ``AML_COMPUTE_CLUSTER_MIN_NODES``, else 0.
            max_nodes: The largest number of machines; None for ``AML_COMPUTE_CLUSTER_MAX_NODES``, else 4.
            idle_seconds: Seconds without work after which a machine is released.
            submit_with: ``"estimator"``, as the tutorial does, or ``"script_run_config"``.
            mode: ``"mount"`` or ``"download"``: how the node gets the data.
            max_run_duration_seconds: The time limit of a run whose job has no ``timeout``.
            seconds: The deadline of one call to Azure; None for two minutes.

        Raises:
            InvalidNameError: Azure doesn't take the cluster's name.
            ConfigError: An environment variable isn't a number.
            UsageError: A number, the machine type, the mode or ``submit_with`` is invalid.
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
        history = SdkHistory(self._connection, seconds)
        self._sdk_submitter = SdkSubmitter(
            self._connection, history, self._cluster.target, submit_with, mode, max_run_duration_seconds, seconds
        )
        super().__init__(history, self._sdk_submitter)

    @property
    def workspace(self) -> Any:
        """The SDK's workspace; connects if need be."""
        return self._connection.workspace

    def deployment_options(self, target: str) -> Mapping[str, Any]:
        """Return the options of a target in this workspace; see `mnistkit.registry.SupportsDeployment`."""
        return target_options(target, "v1", self._connection)

    @property
    def settings(self) -> ClusterSettings:
        """The cluster's settings, as used if it is created."""
        return self._cluster.settings

    # The cluster

    def ensure(
        self, *, timeout: float = 1200.0, progress: Callable[[ClusterStatus], None] | None = None
    ) -> ClusterStatus:
        """Reuse the cluster of that name, or create it, and wait until it is ready. Idempotent.

        Args:
            timeout: Maximum number of seconds to wait; creation takes Azure some minutes.
            progress: Called with the status whenever it changes; it is logged as well.

        Raises:
            UsageError: The region has no such machine type, or the name is taken by something else.
            QuotaError: The subscription has too little quota for it.
            ServiceError: It couldn't be provisioned; the message has Azure's errors.
            ServiceTimeoutError: It isn't ready in time; Azure continues.
        """
        return self._cluster.ensure(timeout=timeout, progress=progress)

    def status(self) -> ClusterStatus:
        """Return the cluster's status, with the machines that exist and cost.

        Raises:
            NotFoundError: There is none of that name.
        """
        return self._cluster.status()

    def delete(self) -> None:
        """Delete the cluster; its runs stay. Idempotent; it is gone some minutes later."""
        self._cluster.delete()

    def plan(self, job: Job, data: DataSource) -> Plan:
        """Return the request that `submit` would send for the job. Nothing is sent.

        Raises:
            SpecError: As `submit`.
            NotFoundError: As `submit`.
        """
        check_job(job)
        submitter = self._sdk_submitter
        return Plan(
            cluster=self.settings,
            environment=environment_of(job),
            entry=ENTRY[job.kind],
            data=data.uri if needs_data(job) else None,
            mode=submitter.mode,
            max_run_duration_seconds=duration_seconds(job, submitter.max_seconds),
            submit_with=submitter.submit_with,
        )
