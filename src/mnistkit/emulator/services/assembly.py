"""All services of a workspace, each given the ones that it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from mnistkit.emulator.faults import Faults
from mnistkit.emulator.graph import PipelineThreads
from mnistkit.emulator.hub import Hub
from mnistkit.emulator.jobs.references import DatastoreFiles
from mnistkit.emulator.jobs.runner import Jobs
from mnistkit.emulator.mlflow.experiments import ExperimentTracking
from mnistkit.emulator.mlflow.logged_models import LoggedModels
from mnistkit.emulator.mlflow.registry import Registry
from mnistkit.emulator.mlflow.tracking import Tracking
from mnistkit.emulator.pipelines.assembly import pipeline_services
from mnistkit.emulator.routing import Route
from mnistkit.emulator.services.arm import ResourceManager
from mnistkit.emulator.services.artifacts import Artifacts
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.services.compute import Clusters
from mnistkit.emulator.services.datasets import Datasets
from mnistkit.emulator.services.datastores import Datastores
from mnistkit.emulator.services.discovery import Discovery
from mnistkit.emulator.services.environments import Environments
from mnistkit.emulator.services.execution import Execution
from mnistkit.emulator.services.experiments import Experiments
from mnistkit.emulator.services.hyperdrive import HyperDrive
from mnistkit.emulator.services.login import Login
from mnistkit.emulator.services.metrics import Metrics
from mnistkit.emulator.services.models import Models
from mnistkit.emulator.services.opendatasets import OpenDatasets
from mnistkit.emulator.services.provided import ProvidedData
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.services.secrets import Secrets
from mnistkit.emulator.services.snapshots import Snapshots
from mnistkit.emulator.services.telemetry import Telemetry
from mnistkit.emulator.services.webservices import WebServices
from mnistkit.emulator.settings import Settings
from mnistkit.emulator.store import Store
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.v2.assembly import Service, Stoppable, assemble_v2
from mnistkit.emulator.workspace import Workspace

__all__ = ["Services", "assemble"]


@frozen
class Services:
    """The assembled services.

    Attributes:
        routes: Of all; the first that matches a request answers it.
        jobs: What runs.
        hyperdrive: What starts jobs of its own.
        webservices: What serves models.
        starters: What else starts jobs and processes.
    """

    routes: Sequence[Route]
    jobs: Jobs
    hyperdrive: HyperDrive
    webservices: WebServices
    starters: Sequence[Stoppable]

    def stop(self) -> None:
        """End every process that any of them has started; idempotent."""
        self.hyperdrive.stop()
        for starter in self.starters:
            starter.stop()
        self.jobs.stop()
        self.webservices.stop()


def assemble(
    workspace: Workspace,
    store: Store,
    *,
    hub: Hub,
    tokens: Tokens,
    faults: Faults,
    settings: Settings,
    environment: Mapping[str, str],
) -> Services:
    """Build all services.

    Args:
        workspace: Its names.
        store: Its state.
        hub: The emulator's workspaces.
        tokens: What clients show.
        faults: What is to go wrong.
        settings: How they behave.
        environment: The variables that have a job talk to them.
    """
    blobs = Blobs(workspace, store, tokens)
    clusters = Clusters(workspace, store, faults, tokens)
    datasets = Datasets(workspace, store)
    environments = Environments(workspace, store)
    experiments = Experiments(workspace, store)
    artifacts = Artifacts(workspace, store, blobs)
    runs = Runs(workspace, store, experiments, artifacts, tokens)
    snapshots = Snapshots(workspace, store, blobs)
    datastores = Datastores(workspace, store, blobs, settings.blobs)
    jobs = Jobs(
        workspace,
        store,
        runs=runs,
        snapshots=snapshots,
        artifacts=artifacts,
        datasets=datasets,
        environments=environments,
        files=DatastoreFiles(blobs, datastores),
        clusters=clusters,
        tokens=tokens,
        faults=faults,
        settings=settings,
        environment=environment,
    )
    models, metrics = Models(workspace, store), Metrics(workspace, store, runs, faults)
    hyperdrive = HyperDrive(workspace, store, runs=runs, metrics=metrics, jobs=jobs, artifacts=artifacts)
    logged = LoggedModels(workspace, store, experiments, runs)
    webservices = WebServices(workspace, store, models, artifacts)
    threads = PipelineThreads(runs, artifacts)
    opendatasets = OpenDatasets(workspace, store, settings.data)
    newer, starters = assemble_v2(
        workspace,
        store,
        blobs=blobs,
        datastores=datastores,
        opendatasets=opendatasets,
        settings=settings,
        models=models,
        artifacts=artifacts,
        runs=runs,
        jobs=jobs,
        clusters=clusters,
        hyperdrive=hyperdrive,
        threads=threads,
        tokens=tokens,
    )
    pipelines = pipeline_services(
        workspace,
        store,
        blobs=blobs,
        datastores=datastores,
        datasets=datasets,
        snapshots=snapshots,
        artifacts=artifacts,
        runs=runs,
        metrics=metrics,
        jobs=jobs,
        hyperdrive=hyperdrive,
        threads=threads,
    )
    services: Sequence[Service] = (
        ResourceManager(workspace, tokens, hub),
        Discovery(workspace),
        Login(tokens),
        Telemetry(),
        clusters,
        environments,
        Secrets(),
        datastores,
        datasets,
        opendatasets,
        models,
        blobs,
        artifacts,
        experiments,
        runs,
        metrics,
        ExperimentTracking(workspace, experiments),
        Tracking(workspace, experiments=experiments, runs=runs, metrics=metrics, artifacts=artifacts),
        logged,
        Registry(workspace, store, models=models, logged=logged, runs=runs),
        snapshots,
        Execution(workspace, store, runs, jobs, tokens),
        hyperdrive,
        webservices,
        *pipelines,
        *newer,
        ProvidedData(settings),
    )
    routes = [route for service in services for route in service.routes]
    return Services(routes, jobs, hyperdrive, webservices, (threads, *starters))
