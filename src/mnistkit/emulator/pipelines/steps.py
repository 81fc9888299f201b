"""The runs of a pipeline's steps: jobs and sweeps; a step whose like has run before isn't run again."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from mnistkit.emulator.jobs.runner import Jobs
from mnistkit.emulator.pipelines.configuration import destination_of, is_dataset, run_configuration
from mnistkit.emulator.pipelines.definition import Data, Definition, Source, StepNode
from mnistkit.emulator.pipelines.sweep_steps import SWEEP_PARAMETER, SweepSteps
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.datasets import Datasets
from mnistkit.emulator.services.runs import FINAL, Runs
from mnistkit.emulator.store import Store

__all__ = ["STEP_RUN_TYPE", "Pipeline", "StepRuns"]

STEP_RUN_TYPE = "azureml.StepRun"
_REUSED_RUN = "azureml.reusedrunid"


@frozen(kw_only=True)
class Pipeline:
    """A pipeline that runs.

    Attributes:
        run_id: Of its run.
        experiment: The name of its experiment.
        definition: Its steps.
        pipeline_id: Of the published pipeline that it is a run of; empty for none.
    """

    run_id: str
    experiment: str
    definition: Definition
    pipeline_id: str


class StepRuns:
    """The runs of the steps of all pipelines of a workspace."""

    def __init__(self, store: Store, *, runs: Runs, jobs: Jobs, sweeps: SweepSteps, datasets: Datasets) -> None:
        self._runs, self._jobs, self._sweeps, self._datasets = runs, jobs, sweeps, datasets
        self._table, self._lock = store.table("pipeline_steps"), store.lock
        runs.forget.append(self._forget)
        for run_id in runs.ids():
            if runs.get(run_id)["runType"] == STEP_RUN_TYPE:
                runs.move(run_id, "Failed", error="The emulator was stopped while the step ran.", code="ServiceError")

    def find(self, pipeline_id: str, node: str) -> str:
        """Return the id of a step's run, by that of its pipeline's run and that of its node.

        Raises:
            Refusal: 404: it hasn't been started.
        """
        found = self.of(pipeline_id).get(node)
        if found is not None:
            return found
        raise Refusal(404, f"The step {node!r} of {pipeline_id!r} hasn't been started.", code="NotFound")

    def of(self, pipeline_id: str) -> dict[str, str]:
        """Return the ids of the runs of a pipeline's steps that were started, by their nodes."""
        return {each["node"]: each["run"] for each in self._table.views() if each["pipeline"] == pipeline_id}

    def outputs(self, run_id: str) -> dict[str, Data]:
        """Return the outputs of a step's run by their names; a reused one has those of the run that stands for it."""
        origin = self._origin(run_id)
        made = {
            each.get("outputDetails", {}).get("outputName"): each.get("identifier", {}).get("savedId")
            for each in self._runs.get(origin)["outputDatasets"]
        }
        found = {}
        for name, place in self._table.view(run_id)["outputs"].items():
            saved = str(made.get(name) or "") if place["isDataset"] else ""
            found[name] = Data(datastore=place["datastore"], path=place["path"], saved=saved)
        return found

    def start(self, pipeline: Pipeline, node: str) -> str:
        """Start a step whose inputs are there; return its run's id. What can't be run is Failed at once."""
        step = pipeline.definition.steps[node]
        run_id = str(uuid.uuid4())
        outputs = {
            name: dict(zip(("datastore", "path"), destination_of(name, each, run_id), strict=True))
            | {"isDataset": is_dataset(each)}
            for name, each in step.outputs.items()
        }
        about = {"run": run_id, "pipeline": pipeline.run_id, "node": node, "outputs": outputs, "fingerprint": ""}
        with self._lock:
            self._runs.create(pipeline.experiment, run_id, **_described(pipeline, step))
            self._table[run_id] = about
        try:
            inputs = {name: self._data(pipeline, step, each) for name, each in step.inputs.items()}
            fingerprint = self._fingerprint(pipeline, step, inputs)
            earlier = self._earlier(step, fingerprint)
            self._table[run_id] = {**about, "fingerprint": fingerprint}
            if earlier:
                self._reuse(run_id, earlier)
            elif step.is_sweep:
                self._sweeps.start(run_id, pipeline.experiment, step, inputs)
            else:
                configuration = run_configuration(step, step.configuration, inputs, run_id)
                self._jobs.submit(run_id, pipeline.experiment, configuration, step.module["StorageId"])
        except Refusal as refusal:
            if self._runs.get(run_id)["status"] not in FINAL:
                self._runs.move(run_id, "Failed", error=refusal.message, code=refusal.code)
        return run_id

    def cancel(self, run_id: str) -> None:
        """Cancel a step's run; idempotent."""
        if self._runs.get(run_id).get("_isJob"):
            self._jobs.cancel(run_id)
        else:
            self._sweeps.cancel(run_id)

    def _forget(self, run_id: str) -> None:
        self._table.pop(run_id, None)

    def _origin(self, run_id: str) -> str:
        return str(self._runs.get(run_id)["properties"].get(_REUSED_RUN) or run_id)

    def _data(self, pipeline: Pipeline, step: StepNode, each: Data | Source) -> Data:
        if isinstance(each, Data):
            return each
        found = self.outputs(self.find(pipeline.run_id, each.node))[each.port]
        before = pipeline.definition.steps[each.node]
        if is_dataset(before.outputs[each.port]) and not found.saved:
            raise Refusal(400, f"{before.name!r} has made no dataset {each.port!r}, which {step.name!r} works on.")
        return found

    def _fingerprint(self, pipeline: Pipeline, step: StepNode, inputs: Mapping[str, Data]) -> str:
        """Return what two runs of a step have in common if one can stand for the other."""
        origins = {}
        for name, each in step.inputs.items():
            if isinstance(each, Source):
                origins[name] = [self._origin(self.find(pipeline.run_id, each.node)), each.port]
            elif each.saved:
                origins[name] = [self._datasets.get(each.saved)["dataflowJson"]]
            else:
                origins[name] = [inputs[name].datastore, inputs[name].path]
        parameters = {name: value for name, value in step.parameters.items() if name != SWEEP_PARAMETER}
        parts = [step.module["IdentifierHash"], parameters, step.outputs, step.configuration, origins]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _earlier(self, step: StepNode, fingerprint: str) -> str:
        """Return the id of the newest completed run that can stand for a step; empty for none."""
        if not step.module["IsDeterministic"] or step.regenerates or not step.module["IdentifierHash"]:
            return ""
        for each in reversed(self._table.views()):
            if each["fingerprint"] == fingerprint and self._runs.get(each["run"])["status"] == "Completed":
                origin = self._origin(each["run"])
                return origin if origin in self._runs else ""
        return ""

    def _reuse(self, run_id: str, earlier: str) -> None:
        known = self._table.view(earlier)
        with self._table.change(run_id) as record:
            record["outputs"] = known["outputs"]
        with self._runs.change(run_id) as record:
            record["properties"] |= {
                "azureml.isreused": "true",
                _REUSED_RUN: earlier,
                "azureml.reusednodeid": known["node"],
                "azureml.reusedpipeline": known["pipeline"],
                "azureml.reusedpipelinerunid": known["pipeline"],
            }
        self._runs.move(run_id, "Running")
        self._runs.move(run_id, "Completed")


def _described(pipeline: Pipeline, step: StepNode) -> dict[str, Any]:
    """Return the fields of a step's run."""
    return {
        "parentRunId": pipeline.run_id,
        "runType": STEP_RUN_TYPE,
        "status": "NotStarted",
        "name": step.name,
        "displayName": step.name,
        "target": step.parameters.get("Target"),
        "scriptName": step.parameters.get("Script"),
        "tags": {"azureml.nodeid": step.id, "azureml.pipeline": pipeline.run_id},
        "properties": {
            "azureml.runsource": STEP_RUN_TYPE,
            "azureml.nodeid": step.id,
            "azureml.pipeline": pipeline.run_id,
            "azureml.pipelinerunid": pipeline.run_id,
            "azureml.pipelineid": pipeline.pipeline_id,
            "azureml.moduleid": step.module["Id"],
            "azureml.moduleName": step.name,
            "StepType": step.module["StepType"],
        }
        | ({"ContentSnapshotId": step.module["StorageId"]} if step.module["StorageId"] else {}),
    }
