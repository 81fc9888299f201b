"""Endpoints and their deployments, of one kind, as records and as resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from mnistkit.emulator.payloads import now
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.store import Store
from mnistkit.emulator.v2.resources import resource
from mnistkit.emulator.workspace import Workspace

__all__ = ["EndpointRecords"]


class EndpointRecords:
    """The endpoints of a workspace and their deployments.

    Args:
        workspace: The workspace.
        store: Its state.
        kind: Their type below the workspace's: ``onlineEndpoints``.
        noun: Their name in messages: ``online endpoint``.
        tables: The names of the tables of endpoints and of deployments.
    """

    def __init__(self, workspace: Workspace, store: Store, *, kind: str, noun: str, tables: tuple[str, str]) -> None:
        self._workspace, self._kind, self._noun = workspace, kind, noun
        self._endpoints, self._deployments = store.table(tables[0]), store.table(tables[1])
        self._lock = store.lock

    def __iter__(self) -> Iterator[str]:
        return iter(self._endpoints)

    def __contains__(self, endpoint: str) -> bool:
        return endpoint in self._endpoints

    def at_host(self, host: str) -> str:
        """Return the endpoint that is called at a host; empty for none."""
        return next((name for name in self._endpoints if name.lower() == host.partition(".")[0]), "")

    def endpoint(self, endpoint: str) -> dict[str, Any]:
        """Return an endpoint's record.

        Raises:
            Refusal: 404: there is none.
        """
        if endpoint not in self._endpoints:
            raise Refusal(404, f"There is no {self._noun} {endpoint!r}.", code="ResourceNotFound")
        return self._endpoints[endpoint]

    def change(self, endpoint: str) -> AbstractContextManager[dict[str, Any]]:
        """Return a block that yields an endpoint's record, to be changed in it."""
        return self._endpoints.change(endpoint)

    def names(self, endpoint: str) -> list[str]:
        """Return the names of an endpoint's deployments."""
        return [key.partition("/")[2] for key in self._deployments if key.partition("/")[0] == endpoint]

    def deployment(self, endpoint: str, deployment: str) -> dict[str, Any]:
        """Return a deployment's record.

        Raises:
            Refusal: 404: there is no such endpoint or deployment.
        """
        self.endpoint(endpoint)
        try:
            return self._deployments[f"{endpoint}/{deployment}"]
        except KeyError:
            text = f"The endpoint {endpoint!r} has no deployment {deployment!r}; it has {self.names(endpoint)}."
            raise Refusal(404, text, code="ResourceNotFound") from None

    def keep(self, endpoint: str, properties: Mapping[str, Any], tags: object, **about: Any) -> bool:
        """Keep an endpoint, in the place of one of its name; return True if it is new.

        Args:
            endpoint: Its name.
            properties: Its properties.
            tags: Its tags.
            **about: Further members of a new endpoint's record; those of a known one stay.
        """
        with self._lock:
            known = self._endpoints.get(endpoint)
            kept = {**about, "created": now(), **(known or {})}
            self._endpoints[endpoint] = {**kept, "properties": dict(properties), "tags": tags or {}, "modified": now()}
        return known is None

    def keep_deployment(
        self, endpoint: str, deployment: str, properties: Mapping[str, Any], body: Mapping[str, Any]
    ) -> bool:
        """Keep a deployment, in the place of one of its name; return True if it is new.

        Args:
            endpoint: The endpoint's name.
            deployment: Its name.
            properties: Its properties.
            body: What it is made by, with its ``tags`` and ``sku``.
        """
        key = f"{endpoint}/{deployment}"
        with self._lock:
            known = self._deployments.get(key)
            about = {"tags": body.get("tags") or {}, "sku": body.get("sku"), "modified": now()}
            created = known["created"] if known else now()
            self._deployments[key] = {"properties": dict(properties), "created": created, **about}
        return known is None

    def drop(self, endpoint: str) -> list[str] | None:
        """Delete an endpoint; return the names of its deployments, None if there is no such endpoint."""
        with self._lock:
            if self._endpoints.pop(endpoint, None) is None:
                return None
            names = self.names(endpoint)
            for name in names:
                del self._deployments[f"{endpoint}/{name}"]
        return names

    def drop_deployment(self, endpoint: str, deployment: str) -> bool:
        """Delete a deployment; return False if there was none."""
        return self._deployments.pop(f"{endpoint}/{deployment}", None) is not None

    def shown(self, endpoint: str, path: str) -> dict[str, Any]:
        """Return an endpoint as a resource.

        Args:
            endpoint: Its name.
            path: Where it is called at its own host: ``score``.

        Raises:
            Refusal: 404: there is none.
        """
        record, mine = self.endpoint(endpoint), self._workspace
        host = f"https://{endpoint}.{mine.location}.inference.ml.azure.com"
        uris = {"scoringUri": f"{host}/{path}", "swaggerUri": f"{host}/swagger.json"}
        properties = {**record["properties"], "provisioningState": "Succeeded", **uris}
        times = {"created": record["created"], "modified": record["modified"]}
        found = resource(mine, f"{self._kind}/{endpoint}", self._kind, properties, **times)
        return found | {"location": mine.location, "tags": record["tags"], "kind": "Managed", "identity": None}

    def shown_deployment(self, endpoint: str, deployment: str, state: str) -> dict[str, Any]:
        """Return a deployment as a resource.

        Args:
            endpoint: The endpoint's name.
            deployment: Its name.
            state: Its provisioning state.

        Raises:
            Refusal: 404: there is none.
        """
        record, mine = self.deployment(endpoint, deployment), self._workspace
        path, kind = f"{self._kind}/{endpoint}/deployments/{deployment}", f"{self._kind}/deployments"
        properties = {**record["properties"], "provisioningState": state}
        found = resource(mine, path, kind, properties, created=record["created"], modified=record["modified"])
        sku = record["sku"] or {"name": "Default", "capacity": 1}
        return found | {"location": mine.location, "tags": record["tags"], "kind": "Managed", "sku": sku}
