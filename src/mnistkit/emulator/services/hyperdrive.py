"""HyperDrive: a parent run that tries hyperparameters in child runs, so many at a time."""

from __future__ import annotations

import json
import logging
import math
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mnistkit.emulator.jobs.runner import Jobs
from mnistkit.emulator.payloads import now
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.artifacts import ORIGIN, Artifacts, container_of
from mnistkit.emulator.services.metrics import Metrics
from mnistkit.emulator.services.runs import FINAL, Runs
from mnistkit.emulator.store import Store
from mnistkit.emulator.sweep import Sweep, config_of
from mnistkit.emulator.workspace import Workspace

__all__ = ["HyperDrive", "StartChild"]

StartChild = Callable[[Sweep, int, Mapping[str, Any]], str]
"""Starts the child of a sweep with an index and a point; returns its run's id."""

_logger = logging.getLogger(__name__)
_BASE_PATH = "/hyperdrive/v1.0/{arm_scope}"
_RUN_TYPE = "hyperdrive"
_POLL_SECONDS = 0.1
_LOG_PATH = "azureml-logs/hyperdrive.txt"
_TAG_PREFIX = "_aml_system_"
_EXPERIMENT_PATTERN = re.compile(r"/experiments/([^/]+)")


class HyperDrive:
    """Azure's HyperDrive service.

    Children run at the same time, up to what was asked for and the nodes of their cluster. The parent is Completed
    when all have ended and one of them was Completed, and Canceled with them when it is canceled or its time is up.
    """

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        *,
        runs: Runs,
        metrics: Metrics,
        jobs: Jobs,
        artifacts: Artifacts,
    ) -> None:
        self._workspace, self._runs, self._metrics, self._jobs = workspace, runs, metrics, jobs
        self._artifacts = artifacts
        self._threads: list[threading.Thread] = []
        self._lock = store.lock
        self._stopping = threading.Event()
        for run_id in runs.ids():
            if runs.get(run_id)["runType"] == _RUN_TYPE:
                runs.move(run_id, "Failed", error="The emulator was stopped while the sweep ran.", code="ServiceError")

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return (
            Route("POST", f"{_BASE_PATH}/runs", self._create),
            Route("POST", f"{_BASE_PATH}/hdruns/{{run_id}}", self._create),
            Route("POST", f"{_BASE_PATH}/runs/{{parent_id}}", self._create),
            Route("POST", f"{_BASE_PATH}/runs/{{run_id}}/cancel", self._cancel),
        )

    def stop(self) -> None:
        """Start no more children; idempotent. The jobs service ends the running ones."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def submit(
        self,
        config: dict[str, Any],
        experiment: str,
        run_id: str = "",
        parent_id: str = "",
        finished: Callable[[], None] | None = None,
    ) -> str:
        """Start a sweep as its configuration describes it; return its run's id.

        Args:
            config: The configuration, to which the run's id is added.
            experiment: The name of its experiment.
            run_id: Its run's id; empty for a new one.
            parent_id: The id of the run that it belongs to; empty for none.
            finished: As for `run`.

        Raises:
            Refusal: 400: it can't be run here.
        """
        sweep = Sweep.of(config, run_id or f"HD_{uuid.uuid4()}", experiment, self._tried)
        self._jobs.check(sweep.configuration)
        config["platform_config"]["ParentRunId"] = sweep.run_id
        self._runs.create(experiment, sweep.run_id, **self._described(config, sweep, parent_id))
        self.run(sweep, self._start, finished)
        return sweep.run_id

    def run(self, sweep: Sweep, start: StartChild, finished: Callable[[], None] | None = None) -> None:
        """Try a sweep's points on a thread of its own; the parent's run is there already.

        Args:
            sweep: The sweep.
            start: Starts one child, and returns its run's id.
            finished: Called when the parent's run is in a final state.

        Raises:
            Refusal: 503: the emulator is stopping.
        """
        with self._runs.change(sweep.run_id) as record:
            record |= {"runType": _RUN_TYPE, "status": "Running", "startTimeUtc": record["startTimeUtc"] or now()}
        thread = threading.Thread(target=self._drive, args=(sweep, start, finished), name=sweep.run_id, daemon=True)
        with self._lock:
            if self._stopping.is_set():
                raise Refusal(503, "The emulator is stopping.")
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    def _create(self, request: Request, arm_scope: str, run_id: str = "", parent_id: str = "") -> Response:
        experiment = self._experiment(arm_scope)
        config = config_of(request)
        sweep_id = self.submit(config, experiment, run_id, parent_id)
        return Response.json({"code": 0, "result": {**config, "hyperdrive_run_id": sweep_id}}, 201)

    def _tried(self, run_id: str) -> list[dict[str, Any]]:
        record = self._runs.get(run_id)
        if record["runType"] != _RUN_TYPE or record["status"] not in FINAL:
            raise Refusal(400, f"The run {run_id!r} isn't a sweep that has finished: it can't be resumed from.")
        points = [child["tags"].get("hyperparameters") for child in self._runs.children(run_id)]
        return [json.loads(point) for point in points if point]

    def _cancel(self, request: Request, arm_scope: str, run_id: str) -> Response:
        self._runs.in_experiment(self._experiment(arm_scope), run_id)
        self._runs.move(run_id, "CancelRequested")
        return Response.json({"code": 0, "result": "Accepted"})

    def _experiment(self, arm_scope: str) -> str:
        scope, mine = "/" + arm_scope.strip("/"), self._workspace.scope
        found = _EXPERIMENT_PATTERN.fullmatch(scope[len(mine) :])
        if scope[: len(mine)].lower() != mine.lower() or found is None:
            raise Refusal(404, f"There is no experiment {arm_scope!r} in this workspace.", code="NotFound")
        return found[1]

    def _described(self, config: dict[str, Any], sweep: Sweep, parent_id: str) -> dict[str, Any]:
        scope = quote(f"{self._workspace.scope}/experiments/{sweep.experiment}"[1:], safe="")
        told = ("generator_config", "primary_metric_config", "platform_config", "policy_config")
        limits = ("max_concurrent_jobs", "max_total_jobs", "max_duration_minutes")
        return {
            "runType": _RUN_TYPE,
            "status": "Running",
            "startTimeUtc": now(),
            "target": sweep.configuration.get("target"),
            "parentRunId": parent_id or None,
            "cancelUri": f"{self._workspace.url}/hyperdrive/v1.0/{scope}/runs/{sweep.run_id}/cancel",
            "properties": {
                "primary_metric_config": json.dumps(config["primary_metric_config"]),
                "resume_from": json.dumps(list(sweep.resume_from) or None),
                "runTemplate": "HyperDrive",
                "azureml.runsource": "hyperdrive",
                "platform": "AML",
                "ContentSnapshotId": sweep.snapshot_id or "",
            },
            "tags": {
                **{f"{_TAG_PREFIX}{name}": json.dumps(config[name]) for name in told},
                **{f"{_TAG_PREFIX}{name}": str(config[name]) for name in limits},
            },
        }

    def _drive(self, sweep: Sweep, start: StartChild, finished: Callable[[], None] | None) -> None:
        try:
            self._watch(sweep, start)
        except Exception:
            _logger.exception("The sweep %s can't continue.", sweep.run_id)
            self._runs.move(sweep.run_id, "Failed", error="The emulator has a bug; its log says more.")
        if finished is not None:
            finished()

    def _watch(self, sweep: Sweep, start: StartChild) -> None:
        """Start children and watch them until all have finished."""
        end = time.monotonic() + sweep.seconds
        waiting, children, running = list(sweep.points), list[str](), list[str]()
        ending, told = False, set[str]()
        log = self._artifacts.open_log(ORIGIN, container_of(sweep.run_id), _LOG_PATH)
        _append_line(log, f"{len(waiting)} children, {sweep.at_once} at a time.")
        while not self._stopping.is_set():
            running = [run_id for run_id in running if self._runs.get(run_id)["status"] not in FINAL]
            if self._runs.get(sweep.run_id)["status"] != "Running" or time.monotonic() > end:
                waiting.clear()
                ending = True
            while waiting and len(running) < sweep.at_once:
                child = start(sweep, len(children), waiting.pop(0))
                children.append(child)
                running.append(child)
                _append_line(log, f"Started {child}.")
            for run_id in set(running if ending else self._to_cancel(sweep, children, running)) - told:
                told.add(run_id)
                _append_line(log, f"Canceling {run_id}.")
                self._jobs.cancel(run_id)
            if not running and not waiting:
                _append_line(log, "All children have ended.")
                self._finish(sweep, children, canceled=ending)
                return
            self._stopping.wait(_POLL_SECONDS)
        self._runs.move(sweep.run_id, "Failed", error="The emulator was stopped.", code="ServiceError")

    def _start(self, sweep: Sweep, index: int, point: Mapping[str, Any]) -> str:
        run_id, values = f"{sweep.run_id}_{index}", json.dumps(point)
        configuration = json.loads(json.dumps(sweep.configuration))
        arguments = [text for name, value in point.items() for text in (_option(name), str(value))]
        configuration["arguments"] = [*(configuration.get("arguments") or []), *arguments]
        with self._runs.change(sweep.run_id) as record:
            record["tags"][f"{_TAG_PREFIX}{run_id}"] = values
        self._runs.create(
            sweep.experiment,
            run_id,
            parentRunId=sweep.run_id,
            runType="azureml.scriptrun",
            status="Queued",
            target=configuration.get("target"),
            scriptName=configuration.get("script"),
            runDefinition=configuration,
            tags={"hyperparameters": values},
            properties={"ContentSnapshotId": sweep.snapshot_id or ""},
        )
        try:
            self._jobs.submit(run_id, sweep.experiment, configuration, sweep.snapshot_id)
        except Refusal as refusal:
            self._runs.move(run_id, "Failed", error=refusal.message, code=refusal.code)
        return run_id

    def _to_cancel(self, sweep: Sweep, children: Sequence[str], running: Sequence[str]) -> set[str]:
        if sweep.policy.name == "default":
            return set()
        series = {run_id: self._series(run_id, sweep.metric) for run_id in children}
        going = [run_id for run_id in running if self._runs.get(run_id)["status"] == "Running"]
        return sweep.policy.to_cancel(series, going, maximize=sweep.maximize)

    def _series(self, run_id: str, name: str) -> list[float]:
        cells = [value["data"].get(name) for value in self._metrics.merged(run_id).get(name, {}).get("value", [])]
        return [cell for cell in cells if isinstance(cell, (int, float)) and math.isfinite(cell)]

    def _finish(self, sweep: Sweep, children: Sequence[str], *, canceled: bool) -> None:
        logged = {run_id: self._series(run_id, sweep.metric) for run_id in children}
        pick = max if sweep.maximize else min
        scores = {run_id: pick(values) for run_id, values in logged.items() if values}
        if scores:
            best = pick(scores, key=lambda run_id: scores[run_id])
            with self._runs.change(sweep.run_id) as record:
                record["properties"] |= {"score": str(scores[best]), "best_child_run_id": best}
                record["properties"] |= {"best_metric_status": "Succeeded"}
        if canceled:
            self._runs.move(sweep.run_id, "Canceled")
        elif any(self._runs.get(run_id)["status"] == "Completed" for run_id in children):
            self._runs.move(sweep.run_id, "Completed")
        else:
            self._runs.move(sweep.run_id, "Failed", error=f"None of the {len(children)} child runs was completed.")


def _append_line(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"[{now()}] {text}\n")


def _option(name: str) -> str:
    return name if name.startswith("-") else f"--{name}"
