"""Command jobs of a workspace: started, and their outputs registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mnistkit.emulator.jobs.runner import Jobs
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.services.datastores import Datastores
from mnistkit.emulator.v2.assets import Assets
from mnistkit.emulator.v2.commands import CommandJob, Output
from mnistkit.emulator.v2.models import ModelAssets
from mnistkit.emulator.v2.places import Places
from mnistkit.emulator.v2.steps import CommandSteps

__all__ = ["CommandJobs"]


class CommandJobs:
    """Starts command jobs."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        blobs: Blobs,
        datastores: Datastores,
        places: Places,
        assets: Assets,
        models: ModelAssets,
    ) -> None:
        self._jobs, self._blobs, self._datastores = jobs, blobs, datastores
        self._places, self._assets, self._models = places, assets, models

    def read(self, name: str, properties: Mapping[str, Any]) -> CommandJob:
        """Return the job that properties describe.

        Raises:
            Refusal: 400: it can't be run here.
        """
        folder = f"azureml://datastores/{self._datastores.default}/paths/azureml/{name}"
        return CommandJob.of(properties, outputs_uri=folder, conda_file=self._conda_file)

    def start(self, name: str, experiment: str, properties: Mapping[str, Any], parent: str | None = None) -> None:
        """Queue a job; the same again changes nothing.

        Raises:
            Refusal: 400: it can't be run here; 404: no such target, folder or parent.
        """
        job = self.read(name, properties)
        if job.code:
            self._places.place(job.code)
        steps = CommandSteps(job, self._places, self._blobs, lambda output: self._register(name, output))
        self._jobs.submit_steps(name, experiment, job.plan, steps, properties, parent=parent)

    def cancel(self, name: str) -> None:
        """Cancel a job; idempotent, and a finished one stays as it is.

        Raises:
            Refusal: 404: there is no such run.
        """
        self._jobs.cancel(name)

    def outputs(self, name: str, properties: Mapping[str, Any]) -> dict[str, Output]:
        """Return the outputs of a job by their names."""
        return {each.name: each for each in self.read(name, properties).outputs}

    def _conda_file(self, name: str, version: str) -> str:
        return str(self._assets.get("environments", name, version).get("condaFile") or "")

    def _register(self, name: str, output: Output) -> None:
        if output.is_model:
            version = output.version or self._models.next_version(output.asset)
            properties = {"modelUri": output.uri, "modelType": output.kind, "jobName": name}
            self._models.register(output.asset, version, properties)
        else:
            version = output.version or self._assets.next_version("data", output.asset)
            self._assets.add("data", output.asset, version, {"dataUri": output.uri, "dataType": output.kind})
