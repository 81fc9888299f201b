"""Steps of pipelines that run, as clients follow them: their states, logs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.pipelines.definition import Data
from mnistkit.emulator.pipelines.entities import blob_location, entity_of, pipeline_routes
from mnistkit.emulator.pipelines.steps import StepRuns
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.artifacts import ORIGIN, Artifacts, container_of
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.store import Store

__all__ = ["StepProgress", "status_of"]

_STATUS_CODES = {"NotStarted": "NotStarted", "Completed": "Finished", "Failed": "Failed", "Canceled": "Canceled"}
_LOG_PATH = "user_logs/std_log.txt"


class StepProgress:
    """The progress of the steps of all pipelines of a workspace."""

    def __init__(self, store: Store, *, runs: Runs, steps: StepRuns, artifacts: Artifacts) -> None:
        self._runs, self._steps, self._artifacts = runs, steps, artifacts
        self._table, self._graphs = store.table("pipeline_runs"), store.table("pipeline_graphs")

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return pipeline_routes(
            {
                "POST PipelineRuns/{run}/Graph/AllNodes/Status": self._all_statuses,
                "POST PipelineRuns/{run}/Graph/AllNodes/StatusCode": self._all_codes,
                "POST PipelineRuns/{run}/Graph/Node/Status": self._status,
                "POST PipelineRuns/{run}/Graph/Node/StatusCode": self._code,
                "POST PipelineRuns/{run}/Graph/Shareable/STDOUT": self._log,
                "POST PipelineRuns/{run}/Graph/Shareable/STDERR": self._no_log,
                "POST PipelineRuns/{run}/Graph/Shareable/JobLog": self._job_log,
                "POST PipelineRuns/{run}/Outputs": self._outputs,
                "GET PipelineRuns/{run}/PipelineRunOutputs/{output}": self._output,
            }
        )

    def _all_statuses(self, request: Request, run: str) -> Response:
        entity_of(self._table, run, "pipeline run")
        return Response.json({node: self._task(each) for node, each in self._steps.of(run).items()})

    def _all_codes(self, request: Request, run: str) -> Response:
        entity_of(self._table, run, "pipeline run")
        return Response.json({node: _code_of(self._runs.get(each)) for node, each in self._steps.of(run).items()})

    def _status(self, request: Request, run: str) -> Response:
        return Response.json(self._task(self._step(request, run)))

    def _code(self, request: Request, run: str) -> Response:
        return Response.json(_code_of(self._runs.get(self._step(request, run))))

    def _log(self, request: Request, run: str) -> Response:
        step = self._step(request, run)
        reused = self._runs.get(step)["properties"].get("azureml.reusedrunid")
        if reused:
            return _text(
                f"This step wasn't run: {reused} was, with the same code, arguments, inputs and environment.\n"
            )
        container = container_of(step)
        if _LOG_PATH not in self._artifacts.paths(ORIGIN, container, _LOG_PATH):
            return _text("")
        return _text(self._artifacts.file(ORIGIN, container, _LOG_PATH).read_text(encoding="utf-8", errors="replace"))

    def _no_log(self, request: Request, run: str) -> Response:
        self._step(request, run)
        return _text("")  # a job has one log, for both of its streams

    def _job_log(self, request: Request, run: str) -> Response:
        record = self._runs.get(self._step(request, run))
        return _text(f"{record['name']} ({record['runId']}) is {_code_of(record)}. {_error_of(record)}".strip() + "\n")

    def _outputs(self, request: Request, run: str) -> Response:
        found = self._steps.outputs(self._step(request, run))
        return Response.json({name: _shown_output(each) for name, each in found.items()})

    def _output(self, request: Request, run: str, output: str) -> Response:
        kept = self._graphs.view(entity_of(self._table, run, "pipeline run")["GraphId"])["graph"]
        for edge in kept.get("Edges") or ():
            source = edge["SourceOutputPort"]
            if edge["DestinationInputPort"].get("GraphPortName") == output:
                made = self._steps.outputs(self._steps.find(run, source["NodeId"]))
                return Response.json(_shown_output(made[source["PortName"]]))
        raise Refusal(404, f"The pipeline run {run!r} has no output {output!r}.", code="NotFound")

    def _step(self, request: Request, run: str) -> str:
        """Return the id of the run of the step that a request's body names by the path of its node."""
        nodes = request.json()
        if not isinstance(nodes, list) or len(nodes) != 1:
            raise Refusal(400, "The body has to be a list with the id of one node.")
        return self._steps.find(run, str(nodes[0]))

    def _task(self, run_id: str) -> dict[str, Any]:
        record = self._runs.get(run_id)
        return {**status_of(record), "RunId": run_id, "StartTime": record["startTimeUtc"]}


def status_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status of a run, of a pipeline or a step, as the pipeline service describes it."""
    about = {"StatusCode": _code_of(record), "StatusDetail": _error_of(record)}
    return {**about, "CreationTime": record["createdUtc"], "EndTime": record["endTimeUtc"]}


def _code_of(record: Mapping[str, Any]) -> str:
    """Return a run's state as the pipeline service calls it."""
    status = str(record["status"])
    return "Queued" if status == "Queued" else _STATUS_CODES.get(status, "Running")


def _error_of(record: Mapping[str, Any]) -> str:
    return str(((record.get("error") or {}).get("error") or {}).get("message") or "")


def _shown_output(data: Data) -> dict[str, Any]:
    return {"DataTypeId": "AnyFile", "DataLocation": blob_location(data.datastore, data.path)}


def _text(text: str) -> Response:
    return Response(body=text.encode(), content_type="text/plain; charset=utf-8")
