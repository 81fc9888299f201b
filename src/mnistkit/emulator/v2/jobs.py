"""Jobs as resources: created, listed, canceled; runs of the SDK's first version are shown as jobs too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mnistkit.emulator.graph import PIPELINE_RUN_TYPE
from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import check_texts, check_types, now
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.artifacts import ORIGIN, container_of
from mnistkit.emulator.services.runs import FINAL, Runs
from mnistkit.emulator.store import Store
from mnistkit.emulator.v2.places import ARTIFACT_STORE
from mnistkit.emulator.v2.resources import MANAGEMENT_HOST, in_view, listed, properties_of, resource
from mnistkit.emulator.workspace import Workspace

__all__ = ["JobKind", "JobResources"]

_DEFAULT_EXPERIMENT = "Default"
_LOCAL_TARGET = "local"


class JobKind(Protocol):
    """Starts and cancels the jobs of one type."""

    def start(self, name: str, experiment: str, properties: Mapping[str, Any], parent: str | None = None) -> None:
        """Start a job; the same again changes nothing.

        Raises:
            Refusal: 400: it can't be run here.
        """

    def cancel(self, name: str) -> None:
        """Cancel a job; idempotent."""

    def outputs(self, name: str, properties: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs of a job by their names, each with its ``kind`` and ``uri``."""


class JobResources:
    """The jobs of a workspace.

    Args:
        workspace: The workspace.
        store: Its state.
        runs: The runs of its jobs.
        kinds: Who starts jobs, by their ``jobType``.
    """

    def __init__(self, workspace: Workspace, store: Store, runs: Runs, kinds: Mapping[str, JobKind]) -> None:
        self._workspace, self._runs, self._kinds = workspace, runs, kinds
        self._table, self._lock = store.table("jobs_v2"), store.lock
        runs.forget.append(self._forget)

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        base, host = "{scope}/jobs", MANAGEMENT_HOST
        return (
            Route("GET", base, self._list, host=host),
            Route("GET", f"{base}/{{name}}", self._get, host=host),
            Route("PUT", f"{base}/{{name}}", self._put, host=host),
            Route("POST", f"{base}/{{name}}/cancel", self._cancel, host=host),
        )

    def start(self, name: str, properties: Mapping[str, Any], parent: str | None = None) -> None:
        """Start a job, and keep what it was submitted with.

        Raises:
            Refusal: 400: it can't be run here; 409: there is another of that name.
        """
        kind = self._kind(properties)
        check_types(properties, displayName=str, description=str, experimentName=str)
        check_texts(properties, "tags", "properties")
        experiment = properties.get("experimentName") or _DEFAULT_EXPERIMENT
        fields = {key: properties.get(key) for key in ("displayName", "description", "tags", "properties")}
        with self._lock:
            if name in self._runs:
                raise Refusal(409, f"There is a run {name!r} already.", code="Conflict")
            kind.outputs(name, properties)  # refuses what can't be run before anything is made
            self._runs.create(experiment, name, parentRunId=parent, **fields)
            self._table[name] = {"properties": dict(properties), "created": now()}
        try:
            kind.start(name, experiment, properties, parent)
        except Refusal as refusal:
            self._runs.move(name, "Failed", error=refusal.message)
            raise

    def cancel(self, name: str) -> None:
        """Cancel a job, of either version of the SDK; idempotent.

        Raises:
            Refusal: 404: there is none.
        """
        record = self._table.get(name)
        if record is not None:
            kind = self._kind(record["properties"])
        elif self._runs.get(name)["runType"] == PIPELINE_RUN_TYPE:
            kind = self._kinds["Pipeline"]
        else:
            kind = self._kinds["Command"]
        kind.cancel(name)

    def submitted(self, name: str) -> dict[str, Any]:
        """Return the properties that a job was submitted with.

        Raises:
            Refusal: 404: there is no such job.
        """
        if name not in self._table:
            raise Refusal(404, f"There is no job {name!r}.", code="ResourceNotFound")
        found: dict[str, Any] = self._table[name]["properties"]
        return found

    def outputs(self, name: str) -> Mapping[str, Any]:
        """Return the outputs of a job by their names; none for a run that isn't a job of this version.

        Raises:
            Refusal: 404: there is no such run.
        """
        self._runs.get(name)
        record = self._table.get(name)
        return {} if record is None else self._kind(record["properties"]).outputs(name, record["properties"])

    def output_uri(self, name: str, output: str) -> str:
        """Return the URI of a named output of a job.

        Raises:
            Refusal: 404: there is no such job or output.
        """
        found = self.outputs(name)
        if output not in found:
            raise Refusal(404, f"The job {name!r} has no output {output!r}; it has {sorted(found)}.", code="NotFound")
        return str(found[output].uri)

    def _kind(self, properties: Mapping[str, Any]) -> JobKind:
        name = str(properties.get("jobType"))
        if name not in self._kinds:
            raise NotEmulated("jobs", f"Jobs of the type {name!r} aren't emulated, only {sorted(self._kinds)}.")
        return self._kinds[name]

    def _forget(self, run_id: str) -> None:
        self._table.pop(run_id, None)

    def _list(self, request: Request) -> Response:
        query = request.query
        found = []
        for record in self._runs.newest():
            properties = None if record["parentRunId"] else self._properties(record)
            if properties is None or not in_view(request, is_archived=bool(record["hidden"])):
                continue
            if query.get("jobType") in {None, properties["jobType"]} and query.get("tag") in {None, *record["tags"]}:
                found.append(self._shown(record, properties))
        return listed(request, found)

    def _get(self, request: Request, name: str) -> Response:
        return Response.json(self._described(name))

    def _described(self, name: str) -> dict[str, Any]:
        record = self._runs.get(name)
        properties = self._properties(record)
        if properties is None:
            raise Refusal(404, f"The run {name!r} isn't a job.", code="ResourceNotFound")
        return self._shown(record, properties)

    def _put(self, request: Request, name: str) -> Response:
        properties = properties_of(request)
        if name not in self._table:
            self.start(name, properties)
            return Response.json(self._described(name), 201)
        changes = {key: properties.get(key) for key in ("displayName", "description", "tags")}
        changes["hidden"] = properties.get("isArchived")
        self._runs.change_or_make(self._runs.get(name)["_experiment"], name, changes)
        return Response.json(self._described(name))

    def _cancel(self, request: Request, name: str) -> Response:
        self._described(name)
        self.cancel(name)
        return Response.json({})

    def _properties(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the properties that a run's job was submitted with; None if it has no job."""
        found = self._table.get(record["runId"])
        if found is not None:
            return dict(found["properties"])
        if record["runType"] == PIPELINE_RUN_TYPE:
            return {"jobType": "Pipeline", "jobs": {}, "inputs": {}, "outputs": {}, "settings": {}}
        return self._command_of(record) if record.get("_isJob") else None

    def _command_of(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return a job of the SDK's first version as a command."""
        configuration = record["runDefinition"] or {}
        command = configuration.get("command") or ""
        words = command if isinstance(command, list) else [command]
        if configuration.get("script"):
            words = ["python", configuration["script"], *configuration.get("arguments", ())]
        environment = configuration.get("environment") or {}
        name, version = environment.get("name") or "unnamed", environment.get("version") or "1"
        target = str(record["target"] or _LOCAL_TARGET)
        return {
            "jobType": "Command",
            "command": " ".join(map(str, words)) or "-",
            "environmentId": f"{self._workspace.scope}/environments/{name}/versions/{version}",
            "computeId": None if target == _LOCAL_TARGET else f"{self._workspace.scope}/computes/{target}",
        }

    def _shown(self, record: Mapping[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
        name, mine = record["runId"], self._workspace
        tracking = f"azureml://{mine.api_host}/mlflow/v1.0{mine.scope}"
        found = self.outputs(name)
        sent = properties.get("outputs") or {}
        outputs = {
            key: {**(sent.get(key) or {}), "jobOutputType": each.kind, "uri": each.uri} for key, each in found.items()
        }
        default = f"azureml://datastores/{ARTIFACT_STORE}/{ORIGIN}/{container_of(name)}"
        outputs["default"] = {"jobOutputType": "uri_folder", "mode": "ReadWriteMount", "uri": default}
        shown = {
            **properties,
            "displayName": record["displayName"],
            "description": record["description"],
            "experimentName": record["_experiment"],
            "status": record["status"],
            "tags": record["tags"],
            "properties": record["properties"],
            "isArchived": bool(record["hidden"]),
            "outputs": outputs,
            "services": {
                "Tracking": {"jobServiceType": "Tracking", "endpoint": tracking},
                "Studio": {"jobServiceType": "Studio", "endpoint": f"{mine.url}/runs/{name}?wsid={mine.scope}"},
            },
        }
        modified = record["endTimeUtc"] if record["status"] in FINAL else ""
        return resource(mine, f"jobs/{name}", "jobs", shown, created=record["createdUtc"], modified=modified or "")
