"""Schedules: recorded, never due; one is started by its trigger alone."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import check_name, check_texts, check_types, now
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.store import Store
from mnistkit.emulator.v2.jobs import JobResources
from mnistkit.emulator.v2.operations import Operations
from mnistkit.emulator.v2.resources import MANAGEMENT_HOST, listed, name_in, properties_of, resource
from mnistkit.emulator.workspace import Workspace

__all__ = ["Schedules"]

_KIND = "schedules"
_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_VIEWS = {"EnabledOnly": (True,), "DisabledOnly": (False,), "All": (True, False)}
_JOB_ACTION = "CreateJob"


class Schedules:
    """The schedules of a workspace. What they are to start is checked when they are triggered."""

    def __init__(self, workspace: Workspace, store: Store, jobs: JobResources, operations: Operations) -> None:
        self._workspace, self._jobs, self._operations = workspace, jobs, operations
        self._table = store.table("schedules_v2")

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        one, host = f"{{scope}}/{_KIND}/{{name}}", MANAGEMENT_HOST
        return (
            Route("GET", f"{{scope}}/{_KIND}", self._list, host=host),
            Route("GET", one, self._get, host=host),
            Route("PUT", one, self._put, host=host),
            Route("DELETE", one, self._delete, host=host),
            Route("POST", f"{one}/trigger", self._trigger, host=host),
        )

    def _record(self, name: str) -> dict[str, Any]:
        if name not in self._table:
            raise Refusal(404, f"There is no schedule {name!r}.", code="ResourceNotFound")
        return self._table[name]

    def _shown(self, name: str) -> dict[str, Any]:
        record = self._record(name)
        properties = {**record["properties"], "provisioningState": "Succeeded"}
        times = {"created": record["created"], "modified": record["modified"]}
        return resource(self._workspace, f"{_KIND}/{name}", _KIND, properties, **times)

    def _list(self, request: Request) -> Response:
        view = request.query.get("listViewType", "EnabledOnly")
        if view not in _VIEWS:
            raise Refusal(400, f"There is no view {view!r}: use one of {[*_VIEWS]}.")
        shown = map(self._shown, self._table)
        return listed(request, [each for each in shown if each["properties"]["isEnabled"] in _VIEWS[view]])

    def _get(self, request: Request, name: str) -> Response:
        return Response.json(self._shown(name))

    def _put(self, request: Request, name: str) -> Response:
        check_name(name, _NAME_PATTERN, "a schedule")
        sent = properties_of(request)
        check_types(sent, action=dict, trigger=dict, displayName=str, description=str, isEnabled=bool)
        check_texts(sent, "tags", "properties")
        for key, kind in (("action", "actionType"), ("trigger", "triggerType")):
            if not (sent.get(key) or {}).get(kind):
                raise Refusal(400, f"The schedule {name!r} needs {key!r} with {kind!r}.")
        known = self._table.get(name)
        is_enabled = sent.get("isEnabled")
        properties = {**sent, "isEnabled": True if is_enabled is None else is_enabled}
        created = known["created"] if known else now()
        self._table[name] = {"properties": properties, "created": created, "modified": now()}
        return Response.json(self._shown(name), 200 if known else 201, self._done())

    def _delete(self, request: Request, name: str) -> Response:
        if name not in self._table:
            return Response(status=204)
        if self._record(name)["properties"]["isEnabled"]:
            raise Refusal(400, f"The schedule {name!r} is enabled: disable it before you delete it.")
        del self._table[name]
        return Response.json({}, 202, self._done())

    def _done(self) -> dict[str, str]:
        """Return the headers of an operation that is through."""
        return self._operations.start(lambda: ("Succeeded", ""))

    def _trigger(self, request: Request, name: str) -> Response:
        """Start the job of a schedule once."""
        action = self._record(name)["properties"]["action"]
        job = action.get("jobDefinition")
        if action["actionType"] != _JOB_ACTION or not isinstance(job, dict):
            raise NotEmulated("schedules", f"The schedule {name!r} starts no job: {action['actionType']!r}.")
        if not job.get("jobs") and job.get("sourceJobId"):
            job = self._jobs.submitted(name_in(job["sourceJobId"], "jobs"))
        started = f"{name}-{uuid.uuid4().hex[:12]}"
        self._jobs.start(started, job)
        return Response.json({"submissionId": started, "scheduleActionType": _JOB_ACTION})
