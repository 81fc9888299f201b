"""The services of pipelines, each given the ones that it needs."""

from __future__ import annotations

from collections.abc import Sequence

from mnistkit.emulator.graph import PipelineThreads
from mnistkit.emulator.jobs.runner import Jobs
from mnistkit.emulator.pipelines.modules import Modules
from mnistkit.emulator.pipelines.progress import StepProgress
from mnistkit.emulator.pipelines.published import PublishedPipelines
from mnistkit.emulator.pipelines.runs import PipelineRuns
from mnistkit.emulator.pipelines.schedules import Schedules
from mnistkit.emulator.pipelines.steps import StepRuns
from mnistkit.emulator.pipelines.sweep_steps import SweepSteps
from mnistkit.emulator.services.artifacts import Artifacts
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.services.datasets import Datasets
from mnistkit.emulator.services.datastores import Datastores
from mnistkit.emulator.services.hyperdrive import HyperDrive
from mnistkit.emulator.services.metrics import Metrics
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.services.snapshots import Snapshots
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["Service", "pipeline_services"]

Service = Modules | PipelineRuns | PublishedPipelines | Schedules | StepProgress


def pipeline_services(
    workspace: Workspace,
    store: Store,
    *,
    blobs: Blobs,
    datastores: Datastores,
    datasets: Datasets,
    snapshots: Snapshots,
    artifacts: Artifacts,
    runs: Runs,
    metrics: Metrics,
    jobs: Jobs,
    hyperdrive: HyperDrive,
    threads: PipelineThreads,
) -> Sequence[Service]:
    """Return the services of pipelines, over those of runs and jobs."""
    modules = Modules(store, snapshots)
    sweeps = SweepSteps(
        runs=runs, hyperdrive=hyperdrive, metrics=metrics, artifacts=artifacts, blobs=blobs, datastores=datastores
    )
    steps = StepRuns(store, runs=runs, jobs=jobs, sweeps=sweeps, datasets=datasets)
    pipeline_runs = PipelineRuns(store, runs=runs, steps=steps, modules=modules, datasets=datasets, threads=threads)
    published = PublishedPipelines(workspace, store, pipeline_runs)
    progress = StepProgress(store, runs=runs, steps=steps, artifacts=artifacts)
    return modules, published, Schedules(store, published), pipeline_runs, progress
