"""Published pipelines, and endpoints of several versions of them; both are submitted by plain REST too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import allow_query, body_of, check_types, list_of
from mnistkit.emulator.pipelines.entities import (
    ACTIVE,
    BASE_PATH,
    active,
    entity_of,
    new_entity,
    pipeline_routes,
    status_word,
)
from mnistkit.emulator.pipelines.runs import PipelineRuns
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["PublishedPipelines"]

_PIPELINE_KEYS = (
    *("Name", "Description", "Version", "ContinueRunOnStepFailure", "EnableNotification", "Properties", "tags"),
    *("DataSetDefinitionValueAssignments", "DataPathAssignments"),
)
_SUBMISSION_KEYS = (
    *("ExperimentName", "Description", "RunSource", "RunType", "ParameterAssignments", "DataPathAssignments"),
    *("DataSetDefinitionValueAssignments", "ScheduleId", "ContinueRunOnStepFailure", "EnableNotification", "Tags"),
    *("Properties", "DisplayName", "ParentRunId"),
)
_ENDPOINT_KEYS = ("Name", "Description", "DefaultVersion", "PipelineVersionList", "EntityStatus", "Properties", "tags")


class PublishedPipelines:
    """The published pipelines of a workspace, and their endpoints."""

    def __init__(self, workspace: Workspace, store: Store, runs: PipelineRuns) -> None:
        self._workspace, self._runs, self._lock = workspace, runs, store.lock
        self._pipelines, self._endpoints = store.table("published_pipelines"), store.table("pipeline_endpoints")

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return pipeline_routes(
            {
                "POST Pipelines/Create": self._publish,
                "GET Pipelines": self._list,
                "GET Pipelines/{pipeline}": self._get,
                "PUT Pipelines/{pipeline}/status": self._change_status,
                "POST PipelineRuns/PipelineSubmit/{pipeline}": self._submit,
                "POST PipelineEndpoints/Create": self._make_endpoint,
                "GET PipelineEndpoints": self._list_endpoints,
                "GET PipelineEndpoints/Name": self._endpoint_by_name,
                "GET PipelineEndpoints/Id/{endpoint}": self._get_endpoint,
                "PUT PipelineEndpoints/{endpoint}": self._change_endpoint,
                "GET PipelineEndpoints/{endpoint}/pipelines": self._list_versions,
                "POST PipelineRuns/PipelineEndpointSubmit/Name": self._submit_by_name,
                "POST PipelineRuns/PipelineEndpointSubmit/Id/{endpoint}": self._submit_endpoint,
                "POST PipelineRuns/PipelineEndpointSubmit/Id/{endpoint}/{version}": self._submit_endpoint,
            }
        )

    def pipeline(self, pipeline_id: str) -> Mapping[str, Any]:
        """Return a published pipeline; it must not be changed.

        Raises:
            Refusal: 404: there is none.
        """
        return entity_of(self._pipelines, pipeline_id, "published pipeline")

    def endpoint(self, endpoint_id: str) -> Mapping[str, Any]:
        """Return an endpoint of pipelines; it must not be changed.

        Raises:
            Refusal: 404: there is none.
        """
        return entity_of(self._endpoints, endpoint_id, "pipeline endpoint")

    def _url(self, kind: str, entity_id: str) -> str:
        base = BASE_PATH.format(scope=self._workspace.scope)
        return f"https://{self._workspace.api_host}{base}/PipelineRuns/{kind}/{entity_id}"

    def _publish(self, request: Request) -> Response:
        sent = body_of(request, needs=["Name", "Graph"])
        check_types(sent, Name=str, Description=str, Version=str, Properties=dict, tags=dict)
        graph_id = self._runs.keep_graph(sent)
        entity = new_entity(GraphId=graph_id, **{key: sent.get(key) for key in _PIPELINE_KEYS})
        entity["ParameterAssignments"] = self._runs.parameters_of(graph_id, sent)
        entity["TotalRunSteps"] = self._runs.steps_of(graph_id)
        entity["Url"] = self._url("PipelineSubmit", entity["Id"])
        self._pipelines[entity["Id"]] = entity
        return Response.json(entity)

    def _list(self, request: Request) -> Response:
        allow_query(request, "activeOnly")
        return active(request, self._pipelines.views())

    def _get(self, request: Request, pipeline: str) -> Response:
        return Response.json(self.pipeline(pipeline))

    def _change_status(self, request: Request, pipeline: str) -> Response:
        self.pipeline(pipeline)
        with self._pipelines.change(pipeline) as entity:
            entity["EntityStatus"] = status_word(request.json())
        return Response()

    def _submit(self, request: Request, pipeline: str) -> Response:
        allow_query(request, "parentRunId")
        return Response.json(self._start(self.pipeline(pipeline), request))

    def _start(self, pipeline: Mapping[str, Any], request: Request) -> dict[str, Any]:
        """Start a run of a published pipeline as a request's body asks for it; return the run's entity."""
        if pipeline["EntityStatus"] != ACTIVE:
            text = f"The pipeline {pipeline['Name']!r} is {pipeline['EntityStatus']}: enable it to submit it."
            raise Refusal(400, text)
        sent = _submission(request)
        defaults = {
            key: {**(pipeline.get(key) or {}), **(sent.get(key) or {})}
            for key in ("DataSetDefinitionValueAssignments", "DataPathAssignments")
        }
        continues = sent.get("ContinueRunOnStepFailure")
        if continues is None:
            continues = pipeline.get("ContinueRunOnStepFailure")
        asked = {**sent, **defaults, "ContinueRunOnStepFailure": continues, "tags": sent.get("Tags")}
        run_id = self._runs.create(pipeline["GraphId"], sent["ExperimentName"], asked, PipelineId=pipeline["Id"])
        self._runs.submit(run_id, request.query.get("parentRunId") or str(sent.get("ParentRunId") or ""))
        return self._runs.shown(run_id)

    # Endpoints

    def _make_endpoint(self, request: Request) -> Response:
        sent = body_of(request, "Name", "Description", "PipelineId", "Properties", "tags", needs=["Name", "PipelineId"])
        check_types(sent, Name=str, Description=str, PipelineId=str)
        self.pipeline(sent["PipelineId"])
        with self._lock:
            if any(each["Name"] == sent["Name"] for each in self._endpoints.views()):
                raise Refusal(409, f"There is a pipeline endpoint {sent['Name']!r} already.", code="Conflict")
            entity = new_entity(
                Name=sent["Name"],
                Description=sent.get("Description"),
                Properties=sent.get("Properties"),
                tags=sent.get("tags"),
                DefaultVersion="0",
                PipelineVersionList=[{"Version": "0", "PipelineId": sent["PipelineId"]}],
            )
            entity["Url"] = self._url("PipelineEndpointSubmit/Id", entity["Id"])
            self._endpoints[entity["Id"]] = entity
        return Response.json(entity)

    def _list_endpoints(self, request: Request) -> Response:
        allow_query(request, "activeOnly")
        return active(request, self._endpoints.views())

    def _endpoint_by_name(self, request: Request) -> Response:
        return Response.json(self._named(request))

    def _named(self, request: Request) -> Mapping[str, Any]:
        """Return the endpoint that a request's query names."""
        name = request.query.get("name", request.query.get("Name", ""))
        for each in self._endpoints.views():
            if each["Name"] == name:
                return each
        raise Refusal(404, f"There is no pipeline endpoint {name!r}.", code="NotFound")

    def _get_endpoint(self, request: Request, endpoint: str) -> Response:
        return Response.json(self.endpoint(endpoint))

    def _change_endpoint(self, request: Request, endpoint: str) -> Response:
        sent = body_of(request)
        check_types(sent, Name=str, Description=str, DefaultVersion=str, Properties=dict, tags=dict)
        for each in list_of(sent, "PipelineVersionList", dict):
            check_types(each, Version=str, PipelineId=str)
            self.pipeline(str(each.get("PipelineId")))
            if not each.get("Version"):
                raise Refusal(400, "A version of the endpoint has no number.")
        self.endpoint(endpoint)
        with self._endpoints.change(endpoint) as entity:
            entity |= {key: sent[key] for key in _ENDPOINT_KEYS if sent.get(key) is not None}
            entity["EntityStatus"] = status_word(entity["EntityStatus"])
            if entity["DefaultVersion"] not in {each["Version"] for each in entity["PipelineVersionList"]}:
                raise Refusal(400, f"The endpoint has no version {entity['DefaultVersion']!r}.")
        return Response.json(self.endpoint(endpoint))

    def _list_versions(self, request: Request, endpoint: str) -> Response:
        allow_query(request, "activeOnly")
        versions = self.endpoint(endpoint)["PipelineVersionList"]
        return active(request, [self.pipeline(each["PipelineId"]) for each in versions])

    def _submit_endpoint(self, request: Request, endpoint: str, version: str = "") -> Response:
        allow_query(request, "parentRunId", "pipelineVersion")
        return self._start_endpoint(self.endpoint(endpoint), request, version)

    def _submit_by_name(self, request: Request) -> Response:
        allow_query(request, "parentRunId", "pipelineVersion", "name", "Name")
        return self._start_endpoint(self._named(request), request)

    def _start_endpoint(self, entity: Mapping[str, Any], request: Request, version: str = "") -> Response:
        if entity["EntityStatus"] != ACTIVE:
            raise Refusal(400, f"The endpoint {entity['Name']!r} is {entity['EntityStatus']}: enable it to submit it.")
        version = version or request.query.get("pipelineVersion") or entity["DefaultVersion"]
        found = [each["PipelineId"] for each in entity["PipelineVersionList"] if each["Version"] == version]
        if not found:
            raise Refusal(404, f"The endpoint {entity['Name']!r} has no version {version!r}.", code="NotFound")
        return Response.json(self._start(self.pipeline(found[0]), request))


def _submission(request: Request) -> dict[str, Any]:
    """Return what a run is submitted with; programs that use no SDK don't always spell its keys as that does.

    Raises:
        Refusal: 400: it names no experiment, or what isn't emulated.
    """
    known = {key.lower(): key for key in _SUBMISSION_KEYS}
    sent = body_of(request)
    unknown = sorted(key for key, value in sent.items() if key.lower() not in known and value is not None)
    if unknown:
        raise NotEmulated("pipelines", f"A submission with {unknown} isn't emulated.")
    found = {known[key.lower()]: value for key, value in sent.items() if key.lower() in known}
    check_types(found, ExperimentName=str, Description=str, Tags=dict)
    if not found.get("ExperimentName"):
        raise Refusal(400, "The body lacks an ExperimentName.")
    return found
