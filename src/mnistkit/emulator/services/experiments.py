"""Experiments: named groups of runs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.odata import Fields, order, page, parse
from mnistkit.emulator.payloads import body_of, check_name, check_types, list_of, now
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["Experiments"]

_DEFAULT_NAME = "Default"
_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
_QUERY_FIELDS = Fields(
    plain={each.lower(): each for each in ("experimentId", "name", "description", "createdUtc", "archivedTime")},
    times=frozenset({"createdUtc", "archivedTime"}),
    maps={"tags": "tags"},
)


class Experiments:
    """A workspace's experiments, by name and by id."""

    def __init__(self, workspace: Workspace, store: Store) -> None:
        self._table = store.table("experiments")
        self._runs = store.table("runs")
        self._lock = store.lock

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        base = "/history/v1.0{scope}"
        return (
            Route("GET", f"{base}/experiments/{{name}}", self._show),
            Route("POST", f"{base}/experiments/{{name}}", self._make),
            Route("POST", f"{base}/experiments:query", self._query),
            Route("GET", f"{base}/experimentids/{{experiment}}", self._show_by_id),
            Route("PATCH", f"{base}/experimentids/{{experiment}}", self._change),
            Route("DELETE", f"{base}/experimentids/{{experiment}}", self._delete),
            Route("POST|DELETE", f"{base}/experimentids/{{experiment}}/tags:delete", self._delete_tags),
        )

    def ensure(self, name: str) -> dict[str, Any]:
        """Return the experiment of a name, made if it isn't there; idempotent.

        Raises:
            Refusal: 400: that can't be a name.
        """
        check_name(name, _NAME_PATTERN, "an experiment")
        with self._lock:
            if name not in self._table:
                self._table[name] = {
                    "experimentId": str(uuid.uuid4()),
                    "name": name,
                    "description": None,
                    "createdUtc": now(),
                    "tags": {},
                    "archivedTime": None,
                }
            return self._table[name]

    def get(self, name: str) -> dict[str, Any]:
        """Return the experiment of a name.

        Raises:
            Refusal: 404: there is none.
        """
        if name not in self._table:
            raise Refusal(404, f"Experiment {name!r} was not found.", code="NotFound")
        return self._table[name]

    def by_id(self, experiment_id: str) -> dict[str, Any]:
        """Return the experiment of an id.

        Raises:
            Refusal: 404: there is none.
        """
        for name, experiment in zip(self._table, self._table.views(), strict=False):
            if experiment["experimentId"] == experiment_id:
                return self._table[name]
        raise Refusal(404, f"No experiment has the id {experiment_id!r}.", code="NotFound")

    def by_id_or_default(self, experiment_id: str) -> dict[str, Any]:
        """Return the experiment of an id; for an empty one, or MLflow's ``0``, the default one, made if need be.

        Raises:
            Refusal: 404: there is none.
        """
        return self.ensure(_DEFAULT_NAME) if experiment_id in {"", "0"} else self.by_id(experiment_id)

    def __contains__(self, name: str) -> bool:
        return name in self._table

    def all(self) -> list[dict[str, Any]]:
        """Return all experiments, the oldest first."""
        return list(self._table.values())

    def change(
        self,
        experiment_id: str,
        *,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        archive: bool | None = None,
    ) -> dict[str, Any]:
        """Return an experiment after a change; what is None stays, tags are added.

        Raises:
            Refusal: 404: there is none of that id.
        """
        with self._lock:
            name = self.by_id(experiment_id)["name"]
            with self._table.change(name) as record:
                record["tags"].update(tags or {})
                if description is not None:
                    record["description"] = description
                if archive is not None:
                    record["archivedTime"] = now() if archive else None
            return self._table[name]

    def _show(self, request: Request, name: str) -> Response:
        return Response.json(self.get(name))

    def _make(self, request: Request, name: str) -> Response:
        return Response.json(self.ensure(name))

    def _show_by_id(self, request: Request, experiment: str) -> Response:
        return Response.json(self.by_id(experiment))

    def _query(self, request: Request) -> Response:
        query = body_of(request, "filter", "orderby", "top", "continuationToken", "viewType")
        view = str(query.get("viewType") or "ActiveOnly")
        if view not in {"ActiveOnly", "ArchivedOnly", "All", "Default"}:
            raise Refusal(400, f"There is no view {view!r} of experiments.")
        found = list(self._table.values())
        if view != "All":
            found = [each for each in found if (each["archivedTime"] is not None) == (view == "ArchivedOnly")]
        if query.get("filter"):
            fits = parse(query["filter"], _QUERY_FIELDS)
            found = [each for each in found if fits(each)]
        found = order(found, query.get("orderby") or "createdUtc desc", _QUERY_FIELDS)
        return Response.json(page(found, "experimentId", query.get("top"), query.get("continuationToken")))

    def _change(self, request: Request, experiment: str) -> Response:
        sent = body_of(request, "name", "description", "archive", "tags")
        if sent.get("name") not in {None, self.by_id(experiment)["name"]}:
            raise Refusal(400, "This emulator doesn't rename experiments.")
        check_types(sent, tags=dict, archive=bool)
        tags, description, archive = (sent.get(key) for key in ("tags", "description", "archive"))
        return Response.json(self.change(experiment, tags=tags, description=description, archive=archive))

    def _delete(self, request: Request, experiment: str) -> Response:
        with self._lock:
            name = self.by_id(experiment)["name"]
            if any(run["experimentId"] == experiment for run in self._runs.views()):
                raise Refusal(400, f"Experiment {name!r} has runs; only an empty one can be deleted.")
            del self._table[name]
        return Response.json({})

    def _delete_tags(self, request: Request, experiment: str) -> Response:
        with self._lock:
            name = self.by_id(experiment)["name"]
            with self._table.change(name) as record:
                for tag in list_of(body_of(request, "tags"), "tags", str):
                    record["tags"].pop(tag, None)
        return Response.json({"errors": {}})
