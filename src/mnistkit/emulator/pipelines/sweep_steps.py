"""Steps that are sweeps: HyperDrive as a child of the step's run, and what becomes of its best child."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.pipelines.configuration import destination_of, run_configuration
from mnistkit.emulator.pipelines.definition import Data, StepNode
from mnistkit.emulator.routing import Refusal, parse_json
from mnistkit.emulator.services.artifacts import ORIGIN, Artifacts, container_of
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.services.datastores import Datastores
from mnistkit.emulator.services.hyperdrive import HyperDrive
from mnistkit.emulator.services.metrics import Metrics
from mnistkit.emulator.services.runs import FINAL, Runs

__all__ = ["SWEEP_PARAMETER", "SweepSteps"]

SWEEP_PARAMETER = "HyperDriveRunConfig"


class SweepSteps:
    """Starts sweeps for steps, whose runs are there already."""

    def __init__(
        self,
        *,
        runs: Runs,
        hyperdrive: HyperDrive,
        metrics: Metrics,
        artifacts: Artifacts,
        blobs: Blobs,
        datastores: Datastores,
    ) -> None:
        self._runs, self._hyperdrive, self._metrics = runs, hyperdrive, metrics
        self._artifacts, self._blobs, self._datastores = artifacts, blobs, datastores

    def start(self, run_id: str, experiment: str, step: StepNode, inputs: Mapping[str, Data]) -> None:
        """Start the sweep of a step.

        Raises:
            Refusal: 400: it can't be run here.
        """
        others = sorted(name for name, output in step.outputs.items() if not output.get("TrainingOutput"))
        if others:
            raise NotEmulated("pipelines", f"A HyperDriveStep has metrics and a model as outputs here, not {others}.")
        config = parse_json(step.parameters.get(SWEEP_PARAMETER, ""), "The configuration of HyperDrive")
        definition = (config.get("platform_config") or {}).get("Definition") if isinstance(config, dict) else None
        if not isinstance(definition, dict) or not isinstance(definition.get("Overrides"), dict):
            raise Refusal(400, f"The step {step.name!r} has no configuration of HyperDrive.")
        definition["SnapshotId"] = step.module["StorageId"]
        definition["Overrides"] = run_configuration(step, definition["Overrides"], inputs, run_id)
        self._runs.move(run_id, "Running")
        sweep = self._hyperdrive.submit(config, experiment, "", run_id, lambda: self._finish(run_id, step))
        with self._runs.change(sweep) as record:
            record["name"] = run_id  # by which the SDK finds it

    def cancel(self, run_id: str) -> None:
        """Cancel the sweep of a step; idempotent."""
        self._runs.move(run_id, "CancelRequested")
        for child in self._runs.children(run_id):
            self._runs.move(child["runId"], "CancelRequested")

    def _finish(self, run_id: str, step: StepNode) -> None:
        """Write the outputs of a step, and bring its run into the state of its sweep."""
        sweep = next(child for child in self._runs.children(run_id) if child["status"] in FINAL)
        error = ((sweep.get("error") or {}).get("error") or {}).get("message") or ""
        status = str(sweep["status"])
        if status == "Completed":
            try:
                for name, output in step.outputs.items():
                    self._write(name, output, run_id, sweep)
            except Refusal as refusal:
                status, error = "Failed", refusal.message
        self._runs.move(run_id, status, error=error)

    def _write(self, name: str, output: Mapping[str, Any], run_id: str, sweep: Mapping[str, Any]) -> None:
        about = output["TrainingOutput"]
        datastore, path = destination_of(name, output, run_id)
        container = self._datastores.container(datastore)
        if str(about.get("TrainingOutputType")) in {"Metrics", "0"}:
            self._blobs.write(container, path, json.dumps(self._logged(sweep["runId"])).encode())
            return
        best, model = str(sweep["properties"].get("best_child_run_id")), str(about.get("ModelFile") or "outputs")
        found = self._artifacts.paths(ORIGIN, container_of(best), model.strip("/"))
        if not found:
            raise Refusal(400, f"The best child {best!r} has no {model!r} for the output {name!r}.")
        for each in found:
            below = each[len(model.strip("/")) :].strip("/")
            self._blobs.add_file(
                container, f"{path}/{below}".strip("/"), self._artifacts.file(ORIGIN, container_of(best), each)
            )

    def _logged(self, sweep_id: str) -> dict[str, dict[str, list[Any]]]:
        """Return the values of each metric of each child."""
        found: dict[str, dict[str, list[Any]]] = {}
        for child in self._runs.children(sweep_id):
            metrics = self._metrics.merged(child["runId"])
            found[child["runId"]] = {
                name: [cell["data"].get(name) for cell in each.get("value", ())] for name, each in metrics.items()
            }
        return found
