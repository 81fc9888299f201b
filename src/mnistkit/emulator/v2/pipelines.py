"""Pipeline jobs: steps are command or sweep jobs, started when those before them are completed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mnistkit.emulator.graph import PipelineThreads
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.datastores import Datastores
from mnistkit.emulator.services.runs import FINAL, Runs
from mnistkit.emulator.v2.assets import Assets
from mnistkit.emulator.v2.commands import Output
from mnistkit.emulator.v2.jobs import JobResources
from mnistkit.emulator.v2.pipeline_graph import Pipeline, Step
from mnistkit.emulator.v2.pipeline_sweeps import sweep_properties

__all__ = ["PipelineJobs"]

_PIPELINE_KEYS = ("displayName", "experimentName", "computeId", "inputs", "outputs")
_COMPONENT_KEY = "azureml.moduleName"
_VALUES_KEY = "azureml.pipeline.control"


class PipelineJobs:
    """Starts pipeline jobs.

    Attributes:
        resources: The workspace's jobs, of which the steps are some; set once they are there.
    """

    resources: JobResources

    def __init__(self, runs: Runs, threads: PipelineThreads, assets: Assets, datastores: Datastores) -> None:
        self._runs, self._threads, self._assets, self._datastores = runs, threads, assets, datastores

    def start(self, name: str, experiment: str, properties: Mapping[str, Any], parent: str | None = None) -> None:
        """Start a pipeline, whose run is there already.

        Raises:
            Refusal: 400: it can't be run here.
        """
        pipeline = self._read(properties)

        def start(step: str) -> str:
            return self._start(name, experiment, pipeline, pipeline.steps[step])

        steps = {each: step.before for each, step in pipeline.steps.items()}
        continues = pipeline.continues_on_failure
        self._threads.start(name, steps, start, self.resources.cancel, continues_on_failure=continues)

    def cancel(self, name: str) -> None:
        """Cancel a pipeline and its steps; idempotent."""
        self._runs.move(name, "CancelRequested")

    def outputs(self, name: str, properties: Mapping[str, Any]) -> Mapping[str, Output]:
        """Return the outputs of a pipeline by their names; one of a sweep is that of its best trial."""
        pipeline, found = self._read(properties), {}
        for each, about in pipeline.outputs.items():
            kind = str((about or {}).get("jobOutputType") or "uri_folder").lower()
            uri = str((about or {}).get("uri") or f"{self._folder(name)}/{each}/")
            for step, output in pipeline.sweep_outputs(each):
                child = f"{name}_{step}"
                if child in self._runs and self._runs.get(child)["status"] == "Completed":
                    uri = self._output_uri(child, output)
            found[each] = Output(name=each, kind=kind, uri=uri)
        return found

    def _read(self, properties: Mapping[str, Any]) -> Pipeline:
        return Pipeline.of(properties, self._component)

    def _component(self, name: str, version: str) -> Mapping[str, Any]:
        spec = self._assets.get("components", name, version).get("componentSpec")
        return spec if isinstance(spec, dict) else {}

    def _folder(self, name: str) -> str:
        return f"azureml://datastores/{self._datastores.default}/paths/azureml/{name}"

    def _start(self, name: str, experiment: str, pipeline: Pipeline, step: Step) -> str:
        child = f"{name}_{step.name}"

        def output_of(before: str, output: str) -> str:
            if pipeline.steps[before].is_plain_output(output):
                return self._output_value(f"{name}_{before}", output)
            return self._output_uri(f"{name}_{before}", output)

        try:
            sent = self._command(name, experiment, pipeline, step) | {
                "inputs": pipeline.resolve(step, output_of),
                "displayName": str(step.node.get("display_name") or step.node.get("displayName") or step.name),
                "properties": {_COMPONENT_KEY: str(step.spec.get("name") or step.name)},
            }
            if step.kind == "sweep":
                sent = sweep_properties(sent, step.node)
            if step.kind == "pipeline":
                about = {key: sent[key] for key in _PIPELINE_KEYS}
                sent = {**about, "jobType": "Pipeline", "jobs": step.spec.get("jobs")}
            self.resources.start(child, sent, name)
        except Refusal as refusal:
            if child not in self._runs:
                self._runs.create(experiment, child, parentRunId=name)
            if self._runs.get(child)["status"] not in FINAL:
                self._runs.move(child, "Failed", error=refusal.message, code=refusal.code)
        return child

    def _output_uri(self, child: str, output: str) -> str:
        """Return the URI of an output of a step; of a sweep, that of its best trial."""
        best = self._runs.get(child)["properties"].get("best_child_run_id")
        return self.resources.output_uri(best or child, output)

    def _output_value(self, child: str, output: str) -> str:
        """Return the value of an output, which a step notes among the properties of its run.

        Raises:
            Refusal: 400: it has noted none.
        """
        try:
            return str(json.loads(self._runs.get(child)["properties"][_VALUES_KEY])[output])
        except (KeyError, TypeError, ValueError):
            text = f"The step {child!r} has noted no value of its output {output!r} in {_VALUES_KEY!r}."
            raise Refusal(400, text) from None

    def _command(self, name: str, experiment: str, pipeline: Pipeline, step: Step) -> dict[str, Any]:
        """Return the properties of a step's job, but for its inputs."""
        node, spec = step.node, step.spec
        outputs = {
            each: self._output(name, pipeline, step, each, about or {})
            for each, about in (spec.get("outputs") or {}).items()
        }
        variables = (spec.get("environment_variables") or {}) | (node.get("environment_variables") or {})
        compute = node.get("computeId") or node.get("compute") or pipeline.compute
        return {
            "jobType": "Command",
            "command": spec.get("command"),
            "codeId": _reference(spec.get("code")),
            "environmentId": _reference(node.get("environment") or spec.get("environment")),
            "computeId": None if str(compute).lower().endswith("serverless") else compute or None,
            "experimentName": experiment,
            "outputs": outputs,
            "environmentVariables": {key: str(value) for key, value in variables.items()},
            "distribution": _camel(node.get("distribution") or spec.get("distribution")),
            "resources": _camel(node.get("resources") or spec.get("resources")),
            "limits": _camel(node.get("limits")),
        }

    def _output(
        self, name: str, pipeline: Pipeline, step: Step, output: str, about: Mapping[str, Any]
    ) -> dict[str, Any]:
        given = (step.node.get("outputs") or {}).get(output) or {}
        kind = given.get("job_output_type") or given.get("jobOutputType") or about.get("type") or "uri_folder"
        found = {"jobOutputType": kind, "uri": given.get("uri")}
        found |= {"assetName": given.get("name"), "assetVersion": given.get("version")}
        outer = step.output_of_parent(output)
        if step.is_plain_output(output):  # its text is written to a file, too
            return {"jobOutputType": "uri_file"}
        if step.kind == "sweep":  # each trial has a folder of its own
            return {"jobOutputType": kind}
        if outer:
            parent = pipeline.outputs.get(outer) or {}
            slash = "" if kind == "uri_file" else "/"
            found["uri"] = parent.get("uri") or f"{self._folder(name)}/{outer}{slash}"
            found |= {"assetName": parent.get("assetName"), "assetVersion": parent.get("assetVersion")}
        return {key: value for key, value in found.items() if value is not None}


def _reference(text: object) -> str | None:
    """Return the id in a component's reference such as ``azureml:/subscriptions/...``."""
    found = str(text or "")
    return found.removeprefix("azureml:") if found.startswith("azureml:/subscriptions") else found or None


def _camel(sent: object) -> dict[str, Any] | None:
    """Return an object with the keys that jobs have; components have those of YAML. None for an empty one."""
    if not isinstance(sent, dict) or not sent:
        return None  # the SDK can't read an empty distribution
    found = {}
    for key, value in sent.items():
        head, *rest = str(key).split("_")
        found["".join([head, *(word.capitalize() for word in rest)])] = value
    if "type" in found and "distributionType" not in found:
        found["distributionType"] = found.pop("type")
    return found
