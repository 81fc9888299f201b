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
from mnistkit.emulator.payloads import body_of, check_name, check_texts, check_types, now
from mnistkit.emulator.routing import MAX_FILE_BYTES, Refusal, Request, Response, Route
from mnistkit.emulator.services.webservice_records import KEYS, new_key
from mnistkit.emulator.store import Store
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.v2.operations import Operations
from mnistkit.emulator.v2.resources import MANAGEMENT_HOST, listed, resource
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
        self._table, self._deployments = store.table("endpoints_v2"), store.table("deployments_v2")
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

    def _record(self, endpoint: str) -> dict[str, Any]:
        if endpoint not in self._table:
            raise Refusal(404, f"There is no online endpoint {endpoint!r}.", code="ResourceNotFound")
        return self._table[endpoint]

    def _shown(self, endpoint: str) -> dict[str, Any]:
        record, mine = self._record(endpoint), self._workspace
        host = f"https://{endpoint}.{mine.location}.inference.ml.azure.com"
        properties = {
            **record["properties"],
            "provisioningState": "Succeeded",
            "scoringUri": f"{host}/score",
            "swaggerUri": f"{host}/swagger.json",
            "compute": None,
        }
        times = {"created": record["created"], "modified": record["modified"]}
        found = resource(mine, f"{_KIND}/{endpoint}", _KIND, properties, **times)
        return found | {"location": mine.location, "tags": record["tags"], "kind": "Managed", "identity": None}

    def _list(self, request: Request) -> Response:
        return listed(request, map(self._shown, self._table))

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
            known = self._table.get(endpoint)
            traffic = {kind: self._traffic(endpoint, sent.get(kind) or {}) for kind in ("traffic", "mirrorTraffic")}
            kept = ("authMode", "description", "publicNetworkAccess")
            properties = {**{key: sent.get(key) for key in kept}, **traffic, "properties": sent.get("properties") or {}}
            keys = known["keys"] if known else {key: new_key() for key in KEYS}
            created = known["created"] if known else now()
            about = {"tags": body.get("tags") or {}, "keys": keys, "created": created, "modified": now()}
            self._table[endpoint] = {"properties": properties, **about}
        headers = self._operations.start(lambda: ("Succeeded", ""))
        return Response.json(self._shown(endpoint), 200 if known else 201, headers)

    def _traffic(self, endpoint: str, sent: Mapping[str, Any]) -> dict[str, int]:
        """Return percentages by deployment.

        Raises:
            Refusal: 400: they aren't, or there is no such deployment.
        """
        for name, percent in sent.items():
            if f"{endpoint}/{name}" not in self._deployments:
                raise Refusal(400, f"The endpoint {endpoint!r} has no deployment {name!r} for traffic.")
            if not isinstance(percent, int) or not 0 <= percent <= _ALL_PERCENT:
                raise Refusal(400, f"The traffic of {name!r} is {percent!r}: expected 0 to 100 percent.")
        if sum(sent.values()) not in range(_ALL_PERCENT + 1):
            raise Refusal(400, f"The traffic {dict(sent)} sums up to more than 100 percent.")
        return dict(sent)

    def _delete(self, request: Request, endpoint: str) -> Response:
        if endpoint not in self._table:
            return Response(status=204)
        with self._lock:
            del self._table[endpoint]
            names = self._names(endpoint)
            for name in names:
                del self._deployments[f"{endpoint}/{name}"]
        for name in names:
            self._processes.end(f"{endpoint}/{name}")
        return Response.json({}, 202, self._operations.start(lambda: ("Succeeded", "")))

    def _list_keys(self, request: Request, endpoint: str) -> Response:
        return Response.json(self._record(endpoint)["keys"])

    def _regenerate_key(self, request: Request, endpoint: str) -> Response:
        sent = body_of(request, needs=("keyType",))
        key = f"{str(sent['keyType']).lower()}Key"
        if key not in KEYS:
            raise Refusal(400, f"An endpoint has a primary and a secondary key, no {sent['keyType']!r}.")
        self._record(endpoint)
        with self._table.change(endpoint) as record:
            given = sent.get("keyValue")  # the SDK sends the present one
            record["keys"][key] = given if given and given != record["keys"][key] else new_key()
        return Response.json({}, 202, self._operations.start(lambda: ("Succeeded", "")))

    def _token(self, request: Request, endpoint: str) -> Response:
        self._record(endpoint)
        token = self._tokens.issue(seconds=_TOKEN_SECONDS)
        return Response.json(
            {"accessToken": token, "expiryTimeUtc": 0, "refreshAfterTimeUtc": 0, "tokenType": "Bearer"}
        )

    # Deployments

    def _names(self, endpoint: str) -> list[str]:
        return [key.partition("/")[2] for key in self._deployments if key.partition("/")[0] == endpoint]

    def _deployment(self, endpoint: str, deployment: str) -> dict[str, Any]:
        self._record(endpoint)
        try:
            return self._deployments[f"{endpoint}/{deployment}"]
        except KeyError:
            text = f"The endpoint {endpoint!r} has no deployment {deployment!r}; it has {self._names(endpoint)}."
            raise Refusal(404, text, code="ResourceNotFound") from None

    def _shown_deployment(self, endpoint: str, deployment: str) -> dict[str, Any]:
        record, mine = self._deployment(endpoint, deployment), self._workspace
        state, _ = self._processes.progress(f"{endpoint}/{deployment}")
        state = {"InProgress": "Creating"}.get(state, state)
        path, kind = f"{_KIND}/{endpoint}/deployments/{deployment}", f"{_KIND}/deployments"
        properties = {**record["properties"], "provisioningState": state}
        found = resource(mine, path, kind, properties, created=record["created"], modified=record["modified"])
        sku = record["sku"] or {"name": "Default", "capacity": 1}
        return found | {"location": mine.location, "tags": record["tags"], "kind": "Managed", "sku": sku}

    def _list_deployments(self, request: Request, endpoint: str) -> Response:
        self._record(endpoint)
        return listed(request, [self._shown_deployment(endpoint, name) for name in self._names(endpoint)])

    def _get_deployment(self, request: Request, endpoint: str, deployment: str) -> Response:
        return Response.json(self._shown_deployment(endpoint, deployment))

    def _put_deployment(self, request: Request, endpoint: str, deployment: str) -> Response:
        self._record(endpoint)
        check_name(deployment, _DEPLOYMENT_PATTERN, "a deployment")
        body = body_of(request, needs=("properties",))
        sent, key = body["properties"], f"{endpoint}/{deployment}"
        self._processes.deploy(key, sent)
        with self._lock:
            known = self._deployments.get(key)
            created = known["created"] if known else now()
            about = {"tags": body.get("tags") or {}, "sku": body.get("sku"), "created": created, "modified": now()}
            given = {name: value for name, value in sent.items() if value is not None}
            self._deployments[key] = {"properties": {**_DEPLOYMENT_DEFAULTS, **given}, **about}
        headers = self._operations.start(lambda: self._processes.progress(key, is_patient=True))
        return Response.json(self._shown_deployment(endpoint, deployment), 200 if known else 201, headers)

    def _delete_deployment(self, request: Request, endpoint: str, deployment: str) -> Response:
        with self._lock:
            properties = self._record(endpoint)["properties"]
            if f"{endpoint}/{deployment}" not in self._deployments:
                return Response(status=204)
            if properties["traffic"].get(deployment) or properties["mirrorTraffic"].get(deployment):
                raise Refusal(400, f"The deployment {deployment!r} has traffic: set it to 0 before you delete it.")
            del self._deployments[f"{endpoint}/{deployment}"]
        self._processes.end(f"{endpoint}/{deployment}")
        return Response.json({}, 202, self._operations.start(lambda: ("Succeeded", "")))

    def _logs(self, request: Request, endpoint: str, deployment: str) -> Response:
        self._deployment(endpoint, deployment)
        lines = body_of(request).get("tail")
        count = lines if isinstance(lines, int) and lines >= 0 else _DEFAULT_LOG_LINES
        return Response.json({"content": self._processes.log(f"{endpoint}/{deployment}", count)})

    # Scoring

    def _score(self, request: Request) -> Response:
        endpoint = next((name for name in self._table if name.lower() == request.host.partition(".")[0]), "")
        record = self._record(endpoint)
        self._check_login(request, record)
        properties = record["properties"]
        chosen = request.headers.get(_DEPLOYMENT_HEADER) or _drawn(properties["traffic"])
        if not chosen:
            raise Refusal(404, f"The endpoint {endpoint!r} sends its traffic to no deployment.", code="NotFound")
        self._deployment(endpoint, chosen)
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
