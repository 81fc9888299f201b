"""The execution service: submits and cancels jobs."""

from __future__ import annotations

import io
import shlex
import sys
import zipfile
from collections.abc import Sequence
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from mnistkit.emulator.jobs.runner import Jobs
from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import allow_query, body_of
from mnistkit.emulator.routing import Refusal, Request, Response, Route, parse_json
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.store import Store
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.workspace import Workspace

__all__ = ["Execution"]

_JOB_KEYS = ("Configuration", "SnapshotId", "TargetDetails", "TelemetryValues", "ParentRunId")
_LOCAL_SCRIPT = """#!/bin/bash
# Tells the emulator that the files are there; it runs the job, in this folder and with this environment.
exec {python} - <<'END'
import json, os, urllib.request
body = json.dumps({{"folder": os.getcwd(), "environment": dict(os.environ)}}).encode()
headers = {{"Authorization": {authorization!r}, "Content-Type": "application/json"}}
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
opener.open(urllib.request.Request({url!r}, body, headers), timeout=60).close()
END
"""


class Execution:
    """Azure's execution service."""

    def __init__(self, workspace: Workspace, store: Store, runs: Runs, jobs: Jobs, tokens: Tokens) -> None:
        self._workspace, self._runs, self._jobs, self._tokens = workspace, runs, jobs, tokens

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        base = "/execution/v1.0{scope}"
        found = [Route("POST", "/emulator/v1.0{scope}/localruns/{run}", self._start_local)]
        found += [
            Route("POST", f"{base}/experiments/{{experiment}}/snapshotrun", self._submit),
            Route("POST", f"{base}/experiments/{{experiment}}/localrun", self._submit_local),
        ]
        for name in ("experiments", "experimentids"):
            for runs in ("runs", "runId"):
                path = f"{base}/{name}/{{experiment}}/{runs}/{{run}}/cancel"
                found.append(Route("POST", path, self._cancel))
        return found

    def _submit(self, request: Request, experiment: str) -> Response:
        asked = body_of(request, *_JOB_KEYS, needs=("Configuration",))
        run_id = _run_id(request)
        _refuse_details(asked)
        snapshot = asked.get("SnapshotId")
        self._jobs.submit(run_id, experiment, asked["Configuration"], snapshot, parent=asked.get("ParentRunId"))
        return Response.json({"runId": run_id})

    def _submit_local(self, request: Request, experiment: str) -> Response:
        asked = _definition(request)
        run_id = _run_id(request)
        _refuse_details(asked)
        self._jobs.submit_local(run_id, experiment, asked["Configuration"], parent=asked.get("ParentRunId"))
        script = _LOCAL_SCRIPT.format(
            python=shlex.quote(sys.executable),
            authorization=f"Bearer {self._tokens.issue()}",
            url=f"{self._workspace.url}/emulator/v1.0{self._workspace.scope}/localruns/{run_id}",
        )
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("azureml-setup/Invocation.sh", script)
        return Response(body=out.getvalue(), content_type="application/zip")

    def _start_local(self, request: Request, run: str) -> Response:
        asked = body_of(request, "folder", "environment", needs=("folder", "environment"))
        folder, environment = asked["folder"], asked["environment"]
        if not isinstance(folder, str) or not isinstance(environment, dict):
            raise Refusal(400, "'folder' has to be a path, and 'environment' an object.")
        self._jobs.start_local(run, Path(folder), {name: str(value) for name, value in environment.items()})
        return Response.json({})

    def _cancel(self, request: Request, experiment: str, run: str) -> Response:
        self._runs.in_experiment(experiment, run)
        self._jobs.cancel(run)
        return Response.json({})


def _run_id(request: Request) -> str:
    allow_query(request, "runId")
    if not request.query.get("runId"):
        raise Refusal(400, "The query has no 'runId'.")
    return request.query["runId"]


def _refuse_details(asked: dict[str, Any]) -> None:
    if asked.get("TargetDetails"):
        raise NotEmulated("compute", "This emulator has no targets but its clusters and 'local'.")


def _definition(request: Request) -> dict[str, Any]:
    """Return the part ``definition.json`` of a form.

    Raises:
        Refusal: 400: there is none, or it isn't a definition.
    """
    kind = request.headers.get("content-type", "")
    message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + request.body, policy=policy.HTTP)
    for part in message.iter_parts() if message.is_multipart() else ():
        if part.get_filename() == "definition.json":
            payload = part.get_payload(decode=True)
            found = parse_json(payload if isinstance(payload, bytes) else b"", "definition.json")
            if isinstance(found, dict) and isinstance(found.get("Configuration"), dict):
                return found
    raise Refusal(400, "The form has no definition.json with a Configuration.")
