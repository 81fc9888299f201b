"""Batch endpoints: their deployments, and the pipeline jobs that they are invoked as."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import body_of, check_name, check_texts, check_types
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.store import Store
from mnistkit.emulator.v2.batch_deployments import BatchDeployments
from mnistkit.emulator.v2.endpoint_records import EndpointRecords
from mnistkit.emulator.v2.jobs import JobResources
from mnistkit.emulator.v2.operations import Operations
from mnistkit.emulator.v2.resources import MANAGEMENT_HOST, listed, properties_of, resource
from mnistkit.emulator.workspace import Workspace

__all__ = ["BatchEndpoints"]

_KIND = "batchEndpoints"
_ENDPOINT_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]")
_DEPLOYMENT_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}[A-Za-z0-9]|[A-Za-z]")
_AUTH_MODE = "AADToken"
_DEPLOYMENT_HEADER = "azureml-model-deployment"
_REQUEST_HEADERS = ("repeatability_request-id", "repeatability-request-id")  # as the SDK has it, and as it should


class BatchEndpoints:
    """The batch endpoints of a workspace."""

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        *,
        runs: Runs,
        jobs: JobResources,
        operations: Operations,
        deployments: BatchDeployments,
    ) -> None:
        self._workspace, self._runs, self._jobs = workspace, runs, jobs
        self._operations, self._deployments = operations, deployments
        tables = ("batch_endpoints_v2", "batch_deployments_v2")
        self._records = EndpointRecords(workspace, store, kind=_KIND, noun="batch endpoint", tables=tables)
        self._started, self._lock = store.table("batch_jobs_v2"), store.lock
        runs.forget.append(self._forget)

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        one, host = f"{{scope}}/{_KIND}/{{endpoint}}", MANAGEMENT_HOST
        deployment, scoring = (
            f"{one}/deployments/{{deployment}}",
            f"*.{self._workspace.location}.inference.ml.azure.com",
        )
        lists = f"/mferp/managementfrontend{one}"
        return (
            Route("GET", f"{{scope}}/{_KIND}", self._list, host=host),
            Route("GET", one, self._get, host=host),
            Route("PUT", one, self._put, host=host),
            Route("DELETE", one, self._delete, host=host),
            Route("GET", f"{one}/deployments", self._list_deployments, host=host),
            Route("GET", deployment, self._get_deployment, host=host),
            Route("PUT", deployment, self._put_deployment, host=host),
            Route("DELETE", deployment, self._delete_deployment, host=host),
            Route("POST", "/jobs", self._invoke, host=scoring),
            Route("GET", f"{lists}/jobs", self._list_jobs),
            Route("GET", f"{lists}/deployments/{{deployment}}/jobs", self._list_jobs),
        )

    # Endpoints

    def _shown(self, endpoint: str) -> dict[str, Any]:
        return self._records.shown(endpoint, "jobs")

    def _list(self, request: Request) -> Response:
        return listed(request, map(self._shown, self._records))

    def _get(self, request: Request, endpoint: str) -> Response:
        return Response.json(self._shown(endpoint))

    def _put(self, request: Request, endpoint: str) -> Response:
        check_name(endpoint, _ENDPOINT_PATTERN, "a batch endpoint")
        sent = properties_of(request)
        check_types(sent, defaults=dict, description=str, authMode=str)
        check_texts(sent, "properties")
        if (sent.get("authMode") or _AUTH_MODE).lower() != _AUTH_MODE.lower():
            raise NotEmulated("web services", f"Batch endpoints have the 'authMode' {_AUTH_MODE!r} alone.")
        default = (sent.get("defaults") or {}).get("deploymentName") or None
        with self._lock:
            if default and default not in self._records.names(endpoint):
                raise Refusal(400, f"The endpoint {endpoint!r} has no deployment {default!r} to be its default.")
            properties = {
                "authMode": _AUTH_MODE,
                "description": sent.get("description"),
                "properties": sent.get("properties") or {},
                "defaults": {"deploymentName": default},
            }
            is_new = self._records.keep(endpoint, properties, body_of(request).get("tags"))
        return Response.json(self._shown(endpoint), 201 if is_new else 200, self._done())

    def _delete(self, request: Request, endpoint: str) -> Response:
        if self._records.drop(endpoint) is None:
            return Response(status=204)
        return Response.json({}, 202, self._done())

    def _done(self) -> dict[str, str]:
        """Return the headers of an operation that is through."""
        return self._operations.start(lambda: ("Succeeded", ""))

    # Deployments

    def _shown_deployment(self, endpoint: str, deployment: str) -> dict[str, Any]:
        return self._records.shown_deployment(endpoint, deployment, "Succeeded")

    def _list_deployments(self, request: Request, endpoint: str) -> Response:
        self._records.endpoint(endpoint)
        return listed(request, [self._shown_deployment(endpoint, name) for name in self._records.names(endpoint)])

    def _get_deployment(self, request: Request, endpoint: str, deployment: str) -> Response:
        return Response.json(self._shown_deployment(endpoint, deployment))

    def _put_deployment(self, request: Request, endpoint: str, deployment: str) -> Response:
        self._records.endpoint(endpoint)
        check_name(deployment, _DEPLOYMENT_PATTERN, "a deployment")
        properties = self._deployments.read(properties_of(request))
        is_new = self._records.keep_deployment(endpoint, deployment, properties, body_of(request))
        return Response.json(self._shown_deployment(endpoint, deployment), 201 if is_new else 200, self._done())

    def _delete_deployment(self, request: Request, endpoint: str, deployment: str) -> Response:
        with self._lock:
            self._records.endpoint(endpoint)
            if not self._records.drop_deployment(endpoint, deployment):
                return Response(status=204)
            with self._records.change(endpoint) as record:
                if record["properties"]["defaults"]["deploymentName"] == deployment:
                    record["properties"]["defaults"]["deploymentName"] = None
        return Response.json({}, 202, self._done())

    # Jobs

    def _invoke(self, request: Request) -> Response:
        """Start a job; a request that is sent again starts none."""
        endpoint = self._records.at_host(request.host)
        record = self._records.endpoint(endpoint)
        chosen = request.headers.get(_DEPLOYMENT_HEADER) or record["properties"]["defaults"]["deploymentName"]
        if not chosen:
            text = f"The endpoint {endpoint!r} has no default deployment: name one of {self._records.names(endpoint)}."
            raise Refusal(400, text)
        deployment, sent = self._records.deployment(endpoint, chosen)["properties"], properties_of(request)
        request_id = next(filter(None, map(request.headers.get, _REQUEST_HEADERS)), str(uuid.uuid4()))
        name = str(sent.get("name") or f"batchjob-{request_id}")
        with self._lock:
            if name in self._started and not sent.get("name"):
                return Response.json(self._shown_job(name))
            properties = self._deployments.job(deployment, sent)
            properties["displayName"] = name
            properties["experimentName"] = (sent.get("properties") or {}).get("experimentName") or endpoint
            self._jobs.start(name, properties)
            self._started[name] = {"endpoint": endpoint, "deployment": chosen}
        return Response.json(self._shown_job(name), 201)

    def _forget(self, run_id: str) -> None:
        self._started.pop(run_id, None)

    def _shown_job(self, name: str) -> dict[str, Any]:
        record: Mapping[str, Any] = self._runs.get(name)
        properties = {"status": record["status"], **self._started[name]}
        return resource(self._workspace, f"jobs/{name}", "jobs", properties, created=record["createdUtc"])

    def _list_jobs(self, request: Request, endpoint: str, deployment: str = "") -> Response:
        self._records.endpoint(endpoint)
        if deployment:
            self._records.deployment(endpoint, deployment)
        names = [
            name
            for name, about in self._started.items()
            if about["endpoint"] == endpoint and deployment in {"", about["deployment"]}
        ]
        return Response.json({"value": [self._shown_job(name) for name in reversed(names)], "nextLink": None})
