"""Metrics of runs: posted in batches, merged when they are read."""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from mnistkit.emulator.faults import Faults
from mnistkit.emulator.odata import time_of
from mnistkit.emulator.payloads import body_of, list_of, now
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.artifacts import container_of
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["Metrics"]

_EARLIEST_TIME = datetime.min.replace(tzinfo=timezone.utc)
_NUMBER_TYPES = frozenset({"int", "float", "double", "integer"})
_CLAUSE_PATTERN = re.compile(r"(RunId|Name|MetricType) eq (\"[^\"]*\"|[^\s()]+)", re.IGNORECASE)


class Metrics:
    """The metrics of all runs. What is posted twice, as retries do, counts once."""

    def __init__(self, workspace: Workspace, store: Store, runs: Runs, faults: Faults) -> None:
        self._table = store.table("metrics")
        self._lock = store.lock
        self._runs, self._faults = runs, faults
        self._keys: dict[str, list[str]] = defaultdict(list)
        self._columns: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
        for key, part in self._table.items():
            self._remember(key, part)
        runs.forget.append(self._forget)

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        metric, found = "/metric/v2.0{scope}/runs/{run}", []
        found += [
            Route("POST", f"{metric}/batch", self._post),
            Route("GET|POST", f"{metric}/list", self._list),
            Route("POST", f"{metric}/full", self._full),
        ]
        for name in ("experiments", "experimentids"):
            base = f"/history/v1.0{{scope}}/{name}/{{experiment}}"
            found += [
                Route("POST", f"{base}/metrics:query", self._query),
                Route("GET|POST", f"{base}/runs/{{run}}/metricsingest/wait", self._wait),
            ]
        return found

    def add(self, run_id: str, metric: Mapping[str, Any]) -> None:
        """Add to a run's metrics.

        Args:
            run_id: Which one.
            metric: ``name``, ``columns``, ``value`` and ``properties``, as they are posted.

        Raises:
            Refusal: 400: it hasn't the shape of a metric, or its columns aren't what they were; 404: no such run.
        """
        _check(metric)
        with self._lock:
            self._runs.get(run_id)
            part = {name: metric.get(name) for name in ("name", "columns", "value", "properties")}
            key = f"{run_id} {len(self._keys.get(run_id, ()))}"
            self._remember(key, part)
            self._table[key] = part

    def merged(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Return a run's metrics by name, each once, with their values in the order of their times."""
        found: dict[str, dict[str, Any]] = {}
        seen: dict[str, set[str]] = defaultdict(set)
        with self._lock:  # a part's key is known before the part is
            parts = [self._table[key] for key in self._keys.get(run_id, ())]
            known = dict(self._columns.get(run_id, {}))
        for part in parts:
            name, columns = part["name"], known[part["name"]]
            whole = found.setdefault(
                name, {"dataContainerId": container_of(run_id), "name": name, "columns": columns, "value": []}
            )
            whole |= {"properties": part["properties"], "continuationToken": None}
            for value in part["value"]:
                if value.get("metricId") not in seen[name]:
                    whole["value"].append(value)
                    seen[name] |= {value["metricId"]} if value.get("metricId") else set()
        for whole in found.values():
            whole["value"].sort(key=_created)  # batches may overtake each other on their way
        return found

    # What clients ask

    def _post(self, request: Request, run: str) -> Response:
        self._runs.get(run)
        errors = []
        for metric in list_of(body_of(request, "values", "reportErrors"), "values", dict):
            try:
                self.add(run, metric)
            except Refusal as refusal:
                error = {"error": {"code": refusal.code, "message": refusal.message}}
                errors.append({"metric": metric, "errorResponse": error})
        return Response.json({"errors": errors})

    def _list(self, request: Request, run: str) -> Response:
        body_of(request, "metricNamespace", "continuationToken")
        names = [
            {
                "metricKey": {"namespace": "", "name": name},
                "columns": metric["columns"],
                "properties": metric["properties"],
            }
            for name, metric in self._visible(run).items()
        ]
        return Response.json({"value": names, "continuationToken": None})

    def _full(self, request: Request, run: str) -> Response:
        asked = body_of(request, "metricName", "metricNamespace", "continuationToken", "startTime", "endTime")
        found = self._visible(run).get(str(asked.get("metricName")))
        if found is None:
            raise Refusal(404, f"Run {run!r} has no metric {asked.get('metricName')!r}.", code="NotFound")
        start, end = asked.get("startTime") or "", asked.get("endTime") or "9999"
        values = [value for value in found["value"] if start <= str(value.get("createdUtc") or start) <= end]
        return Response.json(found | {"value": values})

    def _query(self, request: Request, experiment: str) -> Response:
        text = str(body_of(request, "filter", "orderby", "top", "continuationToken").get("filter") or "")
        rest = re.sub(r"\band\b|\bor\b|[()\s]", "", _CLAUSE_PATTERN.sub("", text), flags=re.IGNORECASE)
        if rest:
            raise Refusal(400, f"The filter {text!r} can't be understood: {rest[:40]!r}.", code="InvalidQueryFilter")
        asked: dict[str, set[str]] = defaultdict(set)
        for name, value in _CLAUSE_PATTERN.findall(text):
            asked[name.lower()].add(value.strip('"'))
        found = []
        for run_id in sorted(asked["runid"]):
            self._runs.in_experiment(experiment, run_id)
            cells = (_as_cells(run_id, metric) for metric in self._visible(run_id).values())
            found += [
                each
                for each in cells
                if each["name"] in (asked["name"] or {each["name"]})
                and each["metricType"] in (asked["metrictype"] or {each["metricType"]})
            ]
        return Response.json({"value": found, "continuationToken": None, "nextLink": None})

    def _wait(self, request: Request, experiment: str, run: str) -> Response:
        self._runs.in_experiment(experiment, run)
        return Response.json({})

    def _visible(self, run_id: str) -> dict[str, dict[str, Any]]:
        self._runs.get(run_id)
        return {} if self._faults.take("late-metrics", run_id) else self.merged(run_id)

    def _remember(self, key: str, part: Mapping[str, Any]) -> None:
        run_id, name = key.partition(" ")[0], part["name"]
        self._columns[run_id][name] = _widened(name, self._columns[run_id].get(name, {}), part["columns"])
        self._keys[run_id].append(key)

    def _forget(self, run_id: str) -> None:
        self._columns.pop(run_id, None)
        for key in self._keys.pop(run_id, []):
            del self._table[key]


def _check(metric: Mapping[str, Any]) -> None:
    name, columns, values = metric.get("name"), metric.get("columns"), metric.get("value")
    if not isinstance(name, str) or not name.strip():
        raise Refusal(400, "A metric has no name.")
    if not isinstance(columns, dict) or not columns or not isinstance(values, list):
        raise Refusal(400, f"The metric {name!r} needs columns and a list of values.")
    for value in values:
        data = value.get("data") if isinstance(value, dict) else None
        if not isinstance(data, dict) or not set(data) <= set(columns):
            raise Refusal(400, f"A value of the metric {name!r} has other columns than {sorted(columns)}.")


def _created(value: Mapping[str, Any]) -> datetime:
    return time_of(str(value.get("createdUtc") or "")) or _EARLIEST_TIME


def _widened(name: str, columns: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of both; a number in both is a double."""
    found = dict(columns)
    for column, kind in more.items():
        known = found.get(column, kind)
        if known.lower() != kind.lower() and not {known.lower(), kind.lower()} <= _NUMBER_TYPES:
            raise Refusal(400, f"The column {column!r} of the metric {name!r} holds {known}, not {kind}.")
        found[column] = kind if known.lower() == kind.lower() else "Double"
    return found


def _as_cells(run_id: str, metric: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metric in the shape of the older interface."""
    cells: Iterable[dict[str, Any]] = [value["data"] for value in metric["value"]]
    kind = (metric["properties"] or {}).get("uxMetricType") or ""
    columns = [{"propertyId": name, "name": name, "type": kind} for name, kind in metric["columns"].items()]
    first = next(iter(cells), {})
    return {
        "runId": run_id,
        "metricId": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run_id} {metric['name']}")),
        "dataContainerId": container_of(run_id),
        "metricType": kind,
        "createdUtc": now(),
        "name": metric["name"],
        "description": "",
        "label": metric["name"],
        "numCells": len(metric["value"]),
        "dataLocation": next(iter(first.values()), None) if kind.startswith("azureml.v1.image") else None,
        "cells": cells,
        "schema": {"numProperties": len(columns), "properties": columns},
    }
