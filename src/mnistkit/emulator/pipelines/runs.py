"""Runs of pipelines: submitted as graphs or from what was published, shown with their steps, canceled."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.graph import PIPELINE_RUN_TYPE, PipelineThreads
from mnistkit.emulator.payloads import allow_query, body_of, check_types
from mnistkit.emulator.pipelines.assignments import Assignments
from mnistkit.emulator.pipelines.definition import Definition
from mnistkit.emulator.pipelines.entities import entity_of, new_entity, pipeline_routes
from mnistkit.emulator.pipelines.modules import Modules
from mnistkit.emulator.pipelines.progress import status_of
from mnistkit.emulator.pipelines.steps import Pipeline, StepRuns
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.datasets import Datasets
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.store import Store

__all__ = ["PipelineRuns"]


class PipelineRuns:
    """Runs of pipelines, and their graphs.

    Args:
        store: The workspace's state.
        runs: The records of the runs.
        steps: Starts their steps.
        modules: The code of the steps.
        datasets: What their parameters may be.
        threads: Drives them.
    """

    def __init__(
        self,
        store: Store,
        *,
        runs: Runs,
        steps: StepRuns,
        modules: Modules,
        datasets: Datasets,
        threads: PipelineThreads,
    ) -> None:
        self._runs, self._steps, self._modules, self._datasets = runs, steps, modules, datasets
        self._threads = threads
        self._table, self._graphs = store.table("pipeline_runs"), store.table("pipeline_graphs")
        self._lock = store.lock
        runs.forget.append(self._forget)

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return pipeline_routes(
            {
                "POST PipelineRuns/Unsubmitted/CreationInfoWithGraph": self._create,
                "POST PipelineRuns/Submit/{run}": self._submit,
                "GET PipelineRuns/Pipeline/{pipeline}": self._of_pipeline,
                "GET PipelineRuns/Schedule/{schedule}": self._of_schedule,
                "GET PipelineRuns/Schedule/{schedule}/Last": self._last,
                "GET PipelineRuns/{run}": self._get,
                "DELETE PipelineRuns/{run}/Execution": self._cancel,
                "GET Graphs/{graph}": self._get_graph,
                "GET Graphs/{graph}/Interface": self._get_interface,
            }
        )

    def keep_graph(self, sent: Mapping[str, Any]) -> str:
        """Keep a graph and its interface; return its id.

        Raises:
            Refusal: 400: it can't be run here.
        """
        check_types(sent, Graph=dict, GraphInterface=dict)
        graph, interface = sent.get("Graph") or {}, sent.get("GraphInterface") or {}
        try:
            assignments = Assignments.of(interface, sent, self._datasets)
            Definition.of(graph, assignments, self._modules, self._datasets)
        except (AttributeError, KeyError, TypeError) as error:
            raise Refusal(400, f"The graph can't be read: {error!r}.") from None
        graph_id = str(uuid.uuid4())
        self._graphs[graph_id] = {"graph": {**graph, "Id": graph_id}, "interface": interface}
        return graph_id

    def steps_of(self, graph_id: str) -> int:
        """Return the number of a graph's steps."""
        return len(self._graphs.view(graph_id)["graph"].get("ModuleNodes") or ())

    def parameters_of(self, graph_id: str, sent: Mapping[str, Any]) -> dict[str, str]:
        """Return the values of a graph's parameters, with those that were sent in place of its defaults.

        Raises:
            Refusal: 400: a value can't be read.
        """
        return Assignments.of(self._graphs.view(graph_id)["interface"], sent, self._datasets).shown

    def create(self, graph_id: str, experiment: str, sent: Mapping[str, Any], **fields: Any) -> str:
        """Make a run that isn't started yet; return its id.

        Args:
            graph_id: Of its graph.
            experiment: The name of its experiment.
            sent: The values of its parameters, and what else was sent with them.
            **fields: What more its entity says.

        Raises:
            Refusal: 400: a value can't be read.
        """
        assignments = Assignments.of(self._graphs.view(graph_id)["interface"], sent, self._datasets)
        continues = sent.get("ContinueRunOnStepFailure")
        continues = sent.get("ContinueExperimentOnNodeFailure") if continues is None else continues
        run_id = str(uuid.uuid4())
        keys = ("ParameterAssignments", "DataPathAssignments", "DataSetDefinitionValueAssignments", "ScheduleId")
        entity = {"Description": sent.get("Description"), "GraphId": graph_id, **{key: sent.get(key) for key in keys}}
        entity |= {"Continues": bool(continues), **fields}
        properties = {
            "azureml.runsource": PIPELINE_RUN_TYPE,
            "runSource": str(sent.get("RunSource") or "Unavailable"),
            "runType": str(sent.get("RunType") or "HTTP"),
            "azureml.parameters": json.dumps(assignments.shown),
            "azureml.continue_on_step_failure": str(bool(continues)),
            "azureml.pipelineComponent": "pipelinerun",
            **({"azureml.pipelineid": fields["PipelineId"]} if fields.get("PipelineId") else {}),
        }
        with self._lock:
            tags = {str(key): str(value) for key, value in (sent.get("tags") or {}).items()}
            about = {"runType": PIPELINE_RUN_TYPE, "description": sent.get("Description"), "tags": tags}
            self._runs.create(experiment, run_id, properties=properties, **about)
            self._table[run_id] = {**new_entity(), **entity, "Id": run_id}
            if assignments.unknown:
                text = f"The pipeline has no parameters {assignments.unknown}; it has {sorted(assignments.shown)}."
                with self._runs.change(run_id) as record:
                    record["warnings"].append({"source": "emulator", "message": text})
        return run_id

    def submit(self, run_id: str, parent_id: str = "") -> None:
        """Start a run that was made; the same again changes nothing.

        Args:
            run_id: Of the run.
            parent_id: The id of the run that it belongs to; empty for none.

        Raises:
            Refusal: 404: there is no such run, or no such parent.
        """
        with self._lock:
            record, entity = self._runs.get(run_id), self._entity(run_id)
            if record["status"] != "NotStarted":
                return
            if parent_id:
                above = self._runs.get(parent_id)
                with self._runs.change(run_id) as changed:
                    changed |= {"parentRunId": parent_id, "rootRunId": above["rootRunId"]}
            kept = self._graphs.view(entity["GraphId"])
            assignments = Assignments.of(kept["interface"], entity, self._datasets)
            definition = Definition.of(kept["graph"], assignments, self._modules, self._datasets)
            pipeline = Pipeline(
                run_id=run_id,
                experiment=str(record["_experiment"]),
                definition=definition,
                pipeline_id=str(entity.get("PipelineId") or ""),
            )
            names = definition.names
            nodes = {name: node for node, name in names.items()}
            self._threads.start(
                run_id,
                {names[step.id]: {names[node] for node in step.before} for step in definition.steps.values()},
                lambda name: self._steps.start(pipeline, nodes[name]),
                self._steps.cancel,
                continues_on_failure=bool(entity["Continues"]),
            )

    def shown(self, run_id: str) -> dict[str, Any]:
        """Return a run's entity.

        Raises:
            Refusal: 404: there is none.
        """
        entity, record = self._entity(run_id), self._runs.get(run_id)
        shown = {key: value for key, value in entity.items() if key not in {"Continues", "DataPathAssignments"}}
        kept = self._graphs.view(entity["GraphId"])["interface"]
        return shown | {
            "Status": status_of(record),
            "ParameterAssignments": Assignments.of(kept, entity, self._datasets).shown,
            "RunHistoryExperimentName": record["_experiment"],
            "IsSubmitted": record["status"] != "NotStarted",
            "HasErrors": record["status"] == "Failed",
            "TotalRunSteps": self.steps_of(entity["GraphId"]),
            "RunSource": record["properties"].get("runSource"),
            "tags": record["tags"],
            "Properties": record["properties"],
        }

    def _forget(self, run_id: str) -> None:
        self._table.pop(run_id, None)

    def _entity(self, run_id: str) -> Mapping[str, Any]:
        return entity_of(self._table, run_id, "pipeline run")

    def _create(self, request: Request) -> Response:
        allow_query(request, "experimentName")
        sent = body_of(
            request, "CreationInfo", "Graph", "GraphInterface", "GraphLayout", needs=("CreationInfo", "Graph")
        )
        check_types(sent, CreationInfo=dict)
        info = sent["CreationInfo"]
        check_types(info, Description=str, tags=dict)
        experiment = request.query.get("experimentName") or info.get("RunHistoryExperimentName")
        if not experiment:
            raise Refusal(400, "The query has no 'experimentName'.")
        graph_id = self.keep_graph({**info, **sent})
        return Response.json(self.shown(self.create(graph_id, experiment, info)))

    def _submit(self, request: Request, run: str) -> Response:
        allow_query(request, "parentRunId")
        self.submit(run, request.query.get("parentRunId", ""))
        return Response()

    def _get(self, request: Request, run: str) -> Response:
        return Response.json(self.shown(run))

    def _of_pipeline(self, request: Request, pipeline: str) -> Response:
        return Response.json(self._list("PipelineId", pipeline))

    def _of_schedule(self, request: Request, schedule: str) -> Response:
        return Response.json(self._list("ScheduleId", schedule))

    def _last(self, request: Request, schedule: str) -> Response:
        found = self._list("ScheduleId", schedule)
        return Response.json(found[0]) if found else Response(status=204)

    def _list(self, key: str, value: str) -> list[dict[str, Any]]:
        """Return the entities of runs with a value, the newest first."""
        return [self.shown(each["Id"]) for each in reversed(self._table.views()) if each.get(key) == value]

    def _cancel(self, request: Request, run: str) -> Response:
        self._entity(run)
        if self._runs.get(run)["status"] == "NotStarted":
            self._runs.move(run, "Canceled")
        self._runs.move(run, "CancelRequested")
        return Response()

    def _get_graph(self, request: Request, graph: str) -> Response:
        return Response.json(self._graph(graph)["graph"])

    def _get_interface(self, request: Request, graph: str) -> Response:
        return Response.json(self._graph(graph)["interface"])

    def _graph(self, graph_id: str) -> Mapping[str, Any]:
        return entity_of(self._graphs, graph_id, "graph")
