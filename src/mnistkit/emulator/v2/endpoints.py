"""Managed online endpoints: keys, traffic between deployments, and scoring."""

from __future__ import annotations

import hmac
import random
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import body_of, check_name, check_texts, check_types
from mnistkit.emulator.routing import MAX_FILE_BYTES, Refusal, Request, Response, Route
from mnistkit.emulator.services.webservice_records import KEYS, new_key
from mnistkit.emulator.store import Store
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.v2.endpoint_records import EndpointRecords
from mnistkit.emulator.v2.operations import Operations
from mnistkit.emulator.v2.resources import MANAGEMENT_HOST, listed
from mnistkit.emulator.v2.scoring_processes import ScoringProcesses
from mnistkit.emulator.workspace import Workspace

__all__ = ["OnlineEndpoints"]

_KIND = "onlineEndpoints"
_ENDPOINT_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]")
_DEPLOYMENT_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,30}[A-Za-z0-9]|[A-Za-z]")
_DEPLOYMENT_DEFAULTS = {"properties": {}, "environmentVariables": {}, "scaleSettings": {"scaleType": "Default"}}
_AUTH_MODES = ("Key", "AMLToken", "AADToken")
_DEPLOYMENT_HEADER = "azureml-model-deployment"
_ALL_PERCENT = 100
_MODEL_ERROR_STATUS, _BAD_GATEWAY_STATUS = 424, 502
_TOKEN_SECONDS = 8 * 3600.0
_DEFAULT_LOG_LINES = 50


class OnlineEndpoints:
    """The online endpoints of a workspace.

    What a machine would be (its type, how many) is recorded; a scoring script runs in the emulator's interpreter.
    """

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        *,
        tokens: Tokens,
        operations: Operations,
        processes: ScoringProcesses,
    ) -> None:
        self._workspace, self._tokens, self._operations, self._processes = workspace, tokens, operations, processes
        tables = ("endpoints_v2", "deployments_v2")
        self._records = EndpointRecords(workspace, store, kind=_KIND, noun="online endpoint", tables=tables)
        self._lock = store.lock

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        one, host = f"{{scope}}/{_KIND}/{{endpoint}}", MANAGEMENT_HOST
        deployment = f"{one}/deployments/{{deployment}}"
        scoring = f"*.{self._workspace.location}.inference.ml.azure.com"
        return (
            Route("GET", f"{{scope}}/{_KIND}", self._list, host=host),
            Route("GET", one, self._get, host=host),
            Route("PUT", one, self._put, host=host),
            Route("DELETE", one, self._delete, host=host),
            Route("POST", f"{one}/listKeys", self._list_keys, host=host),
            Route("POST", f"{one}/regenerateKeys", self._regenerate_key, host=host),
            Route("POST", f"{one}/token", self._token, host=host),
            Route("GET", f"{one}/deployments", self._list_deployments, host=host),
            Route("GET", deployment, self._get_deployment, host=host),
            Route("PUT", deployment, self._put_deployment, host=host),
            Route("DELETE", deployment, self._delete_deployment, host=host),
            Route("POST", f"{deployment}/getLogs", self._logs, host=host),
            Route("POST", "/score", self._score, host=scoring, is_open=True, max_bytes=MAX_FILE_BYTES),
        )

    # Endpoints

    def _shown(self, endpoint: str) -> dict[str, Any]:
        found = self._records.shown(endpoint, "score")
        found["properties"]["compute"] = None
        return found

    def _list(self, request: Request) -> Response:
        return listed(request, map(self._shown, self._records))

    def _get(self, request: Request, endpoint: str) -> Response:
        return Response.json(self._shown(endpoint))

    def _put(self, request: Request, endpoint: str) -> Response:
        check_name(endpoint, _ENDPOINT_PATTERN, "an online endpoint")
        body = body_of(request, needs=("properties",))
        sent = body["properties"]
        check_types(sent, traffic=dict, mirrorTraffic=dict, description=str, authMode=str)
        check_texts(sent, "properties")
        if sent.get("authMode") not in _AUTH_MODES:
            raise Refusal(400, f"'authMode' is {sent.get('authMode')!r}: use one of {_AUTH_MODES}.")
        if sent.get("compute"):
            raise NotEmulated("web services", "Kubernetes isn't emulated: use managed endpoints.")
        with self._lock:
            traffic = {kind: self._traffic(endpoint, sent.get(kind) or {}) for kind in ("traffic", "mirrorTraffic")}
            kept = ("authMode", "description", "publicNetworkAccess")
            properties = {**{key: sent.get(key) for key in kept}, **traffic, "properties": sent.get("properties") or {}}
            keys = {key: new_key() for key in KEYS}
            is_new = self._records.keep(endpoint, properties, body.get("tags"), keys=keys)
        headers = self._operations.start(lambda: ("Succeeded", ""))
        return Response.json(self._shown(endpoint), 201 if is_new else 200, headers)

    def _traffic(self, endpoint: str, sent: Mapping[str, Any]) -> dict[str, int]:
        """Return percentages by deployment.

        Raises:
            Refusal: 400: they aren't, or there is no such deployment.
        """
        names = self._records.names(endpoint)
        for name, percent in sent.items():
            if name not in names:
                raise Refusal(400, f"The endpoint {endpoint!r} has no deployment {name!r} for traffic.")
            if not isinstance(percent, int) or not 0 <= percent <= _ALL_PERCENT:
                raise Refusal(400, f"The traffic of {name!r} is {percent!r}: expected 0 to 100 percent.")
        if sum(sent.values()) not in range(_ALL_PERCENT + 1):
            raise Refusal(400, f"The traffic {dict(sent)} sums up to more than 100 percent.")
        return dict(sent)

    def _delete(self, request: Request, endpoint: str) -> Response:
        names = self._records.drop(endpoint)
        if names is None:
            return Response(status=204)
        for name in names:
            self._processes.end(f"{endpoint}/{name}")
        return Response.json({}, 202, self._operations.start(lambda: ("Succeeded", "")))

    def _list_keys(self, request: Request, endpoint: str) -> Response:
        return Response.json(self._records.endpoint(endpoint)["keys"])

    def _regenerate_key(self, request: Request, endpoint: str) -> Response:
        sent = body_of(request, needs=("keyType",))
        key = f"{str(sent['keyType']).lower()}Key"
        if key not in KEYS:
            raise Refusal(400, f"An endpoint has a primary and a secondary key, no {sent['keyType']!r}.")
        self._records.endpoint(endpoint)
        with self._records.change(endpoint) as record:
            given = sent.get("keyValue")  # the SDK sends the present one
            record["keys"][key] = given if given and given != record["keys"][key] else new_key()
        return Response.json({}, 202, self._operations.start(lambda: ("Succeeded", "")))

    def _token(self, request: Request, endpoint: str) -> Response:
        self._records.endpoint(endpoint)
        token = self._tokens.issue(seconds=_TOKEN_SECONDS)
        return Response.json(
            {"accessToken": token, "expiryTimeUtc": 0, "refreshAfterTimeUtc": 0, "tokenType": "Bearer"}
        )

    # Deployments

    def _shown_deployment(self, endpoint: str, deployment: str) -> dict[str, Any]:
        state, _ = self._processes.progress(f"{endpoint}/{deployment}")
        return self._records.shown_deployment(endpoint, deployment, {"InProgress": "Creating"}.get(state, state))

    def _list_deployments(self, request: Request, endpoint: str) -> Response:
        self._records.endpoint(endpoint)
        return listed(request, [self._shown_deployment(endpoint, name) for name in self._records.names(endpoint)])

    def _get_deployment(self, request: Request, endpoint: str, deployment: str) -> Response:
        return Response.json(self._shown_deployment(endpoint, deployment))

    def _put_deployment(self, request: Request, endpoint: str, deployment: str) -> Response:
        self._records.endpoint(endpoint)
        check_name(deployment, _DEPLOYMENT_PATTERN, "a deployment")
        body = body_of(request, needs=("properties",))
        sent, key = body["properties"], f"{endpoint}/{deployment}"
        self._processes.deploy(key, sent)
        given = {name: value for name, value in sent.items() if value is not None}
        is_new = self._records.keep_deployment(endpoint, deployment, {**_DEPLOYMENT_DEFAULTS, **given}, body)
        headers = self._operations.start(lambda: self._processes.progress(key, is_patient=True))
        return Response.json(self._shown_deployment(endpoint, deployment), 201 if is_new else 200, headers)

    def _delete_deployment(self, request: Request, endpoint: str, deployment: str) -> Response:
        with self._lock:
            properties = self._records.endpoint(endpoint)["properties"]
            if properties["traffic"].get(deployment) or properties["mirrorTraffic"].get(deployment):
                raise Refusal(400, f"The deployment {deployment!r} has traffic: set it to 0 before you delete it.")
            if not self._records.drop_deployment(endpoint, deployment):
                return Response(status=204)
        self._processes.end(f"{endpoint}/{deployment}")
        return Response.json({}, 202, self._operations.start(lambda: ("Succeeded", "")))

    def _logs(self, request: Request, endpoint: str, deployment: str) -> Response:
        self._records.deployment(endpoint, deployment)
        lines = body_of(request).get("tail")
        count = lines if isinstance(lines, int) and lines >= 0 else _DEFAULT_LOG_LINES
        return Response.json({"content": self._processes.log(f"{endpoint}/{deployment}", count)})

    # Scoring

    def _score(self, request: Request) -> Response:
        endpoint = self._records.at_host(request.host)
        record = self._records.endpoint(endpoint)
        self._check_login(request, record)
        properties = record["properties"]
        chosen = request.headers.get(_DEPLOYMENT_HEADER) or _drawn(properties["traffic"])
        if not chosen:
            raise Refusal(404, f"The endpoint {endpoint!r} sends its traffic to no deployment.", code="NotFound")
        self._records.deployment(endpoint, chosen)
        body = request.body
        mirror = _drawn(properties["mirrorTraffic"])
        if mirror:
            copy = (f"{endpoint}/{mirror}", body)
            threading.Thread(target=self._mirror, args=copy, name=f"mirror-{mirror}", daemon=True).start()
        response = self._processes.score(f"{endpoint}/{chosen}", body)
        status = _MODEL_ERROR_STATUS if response.status == _BAD_GATEWAY_STATUS else response.status
        return evolve(response, status=status, headers={**response.headers, _DEPLOYMENT_HEADER: chosen})

    def _mirror(self, key: str, body: bytes) -> None:
        try:
            self._processes.score(key, body)
        except Refusal:
            return  # nobody gets the response to mirrored traffic

    def _check_login(self, request: Request, record: Mapping[str, Any]) -> None:
        if record["properties"]["authMode"] != "Key":
            self._tokens.check(request)
            return
        _, _, key = request.headers.get("authorization", "").partition(" ")
        if not any(hmac.compare_digest(key.strip().encode(), one.encode()) for one in record["keys"].values()):
            raise Refusal(401, "The request carries none of the endpoint's keys.", code="AuthenticationFailed")


def _drawn(traffic: Mapping[str, int]) -> str:
    """Return a deployment by its share of the traffic; empty for the share that goes to none."""
    drawn = random.random() * _ALL_PERCENT  # noqa: S311 - a share of requests, no secret
    for name, percent in traffic.items():
        drawn -= percent
        if drawn < 0:
            return name
    return ""
