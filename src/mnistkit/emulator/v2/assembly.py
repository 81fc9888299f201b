"""The services that the SDK's second version needs beside those of the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mnistkit.emulator.graph import PipelineThreads
from mnistkit.emulator.jobs.runner import Jobs
from mnistkit.emulator.routing import Route
from mnistkit.emulator.services.artifacts import Artifacts
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.services.compute import Clusters
from mnistkit.emulator.services.datastores import Datastores
from mnistkit.emulator.services.hyperdrive import HyperDrive
from mnistkit.emulator.services.model_records import ModelRecords
from mnistkit.emulator.services.opendatasets import OpenDatasets
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.settings import Settings
from mnistkit.emulator.store import Store
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.v2.assets import Assets
from mnistkit.emulator.v2.batch_deployments import BatchDeployments
from mnistkit.emulator.v2.batch_endpoints import BatchEndpoints
from mnistkit.emulator.v2.command_jobs import CommandJobs
from mnistkit.emulator.v2.datastores import DatastoreResources
from mnistkit.emulator.v2.endpoints import OnlineEndpoints
from mnistkit.emulator.v2.history import RunOutputs
from mnistkit.emulator.v2.jobs import JobKind, JobResources
from mnistkit.emulator.v2.models import ModelAssets
from mnistkit.emulator.v2.operations import Operations
from mnistkit.emulator.v2.pipelines import PipelineJobs
from mnistkit.emulator.v2.places import Places
from mnistkit.emulator.v2.schedules import Schedules
from mnistkit.emulator.v2.scoring_processes import ScoringProcesses
from mnistkit.emulator.v2.sweeps import SweepJobs
from mnistkit.emulator.workspace import Workspace

__all__ = ["Service", "Stoppable", "assemble_v2"]


class Service(Protocol):
    """A service of a workspace."""

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""


class Stoppable(Protocol):
    """A service that starts processes or jobs."""

    def stop(self) -> None:
        """End what it has started; idempotent."""


def assemble_v2(
    workspace: Workspace,
    store: Store,
    *,
    blobs: Blobs,
    datastores: Datastores,
    opendatasets: OpenDatasets,
    settings: Settings,
    models: ModelRecords,
    artifacts: Artifacts,
    runs: Runs,
    jobs: Jobs,
    clusters: Clusters,
    hyperdrive: HyperDrive,
    threads: PipelineThreads,
    tokens: Tokens,
) -> tuple[Sequence[Service], Sequence[Stoppable]]:
    """Return the services of the SDK's second version, over those of the first, and those of them that start others."""
    places = Places(workspace, datastores=datastores, blobs=blobs, opendatasets=opendatasets, settings=settings)
    assets = Assets(workspace, store, blobs)
    model_assets = ModelAssets(workspace, store, models=models, artifacts=artifacts, places=places)
    commands = CommandJobs(
        jobs=jobs, blobs=blobs, datastores=datastores, places=places, assets=assets, models=model_assets
    )
    sweeps = SweepJobs(runs, hyperdrive)
    pipelines = PipelineJobs(runs, threads, assets, datastores)
    kinds: dict[str, JobKind] = {"Command": commands, "Sweep": sweeps, "Pipeline": pipelines}
    resources = pipelines.resources = JobResources(workspace, store, runs, kinds)
    sweeps.start_trial = resources.start
    places.output_uri = resources.output_uri
    places.asset_uri = _asset_uris(assets, model_assets)
    operations = Operations(workspace)
    batch = BatchDeployments(workspace, assets, model_assets, places, clusters)
    processes = ScoringProcesses(store.folder / "deployments", model_assets, places)
    services = (
        DatastoreResources(workspace, datastores, blobs),
        assets,
        model_assets,
        resources,
        RunOutputs(workspace, runs, resources, places),
        operations,
        OnlineEndpoints(workspace, store, tokens=tokens, operations=operations, processes=processes),
        BatchEndpoints(workspace, store, runs=runs, jobs=resources, operations=operations, deployments=batch),
        Schedules(workspace, store, resources, operations),
    )
    return services, (processes,)


def _asset_uris(assets: Assets, models: ModelAssets) -> Callable[[str, str, str], str]:
    def uri(kind: str, name: str, version: str) -> str:
        if kind == "models":
            return models.uri(name, version)
        properties = assets.get(kind, name, version)
        return str(properties["codeUri" if kind == "codes" else "dataUri"])

    return uri
