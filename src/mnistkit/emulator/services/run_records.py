"""The records of runs, and their changes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mnistkit.emulator.payloads import check_name, now
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.artifacts import Artifacts, container_of
from mnistkit.emulator.services.experiments import Experiments
from mnistkit.emulator.store import Store
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.workspace import Workspace

__all__ = ["CHANGEABLE", "FINAL", "RunRecords"]

FINAL = frozenset({"Completed", "Failed", "Canceled"})

_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,255}")
_EVENT_PREFIX = "Microsoft.MachineLearning.Run."
_EVENT_STATES = {"Start": "Running", "Queued": "Queued", "CancelRequested": "CancelRequested"} | {
    each: each for each in FINAL
}
_OTHER_EVENTS = frozenset({"Heartbeat", "QueueingInfo", "Warning", "Error"})
_MERGED_KEYS = ("properties", "tags")
_ADDED_KEYS = ("inputDatasets", "outputDatasets")
CHANGEABLE = (
    *("parentRunId", "status", "startTimeUtc", "endTimeUtc", "heartbeatEnabled", "options", "name", "displayName"),
    *("dataContainerId", "description", "hidden", "runType", "runTypeV2", "scriptName", "target", "inputDatasets"),
    *("outputDatasets", "runDefinition", "primaryMetricName", "createdFrom", "cancelUri", "diagnosticsUri"),
    *("queueingInfo", *_MERGED_KEYS),
)
_NULL_KEYS = (
    *("parentRunId", "parentRunUuid", "startTimeUtc", "endTimeUtc", "name", "description", "scriptName", "target"),
    *("runDefinition", "createdFrom", "cancelUri", "diagnosticsUri", "error", "token", "tokenExpiryTimeUtc"),
    *("runType", "runTypeV2", "primaryMetricName", "queueingInfo"),
)


class RunRecords:
    """The runs of a workspace, as records.

    Attributes:
        forget: Called with the id of each run that is deleted, by who else keeps something of it.
        finish: Called with the id of each job's run that a client brings into a final state.
    """

    def __init__(
        self, workspace: Workspace, store: Store, experiments: Experiments, artifacts: Artifacts, tokens: Tokens
    ) -> None:
        self._workspace = workspace
        self._table = store.table("runs")
        self._events = store.table("events")
        self._lock = store.lock
        self._last_number = max((each["runNumber"] for each in self._table.views()), default=0)
        self._experiments, self._artifacts, self._tokens = experiments, artifacts, tokens
        self.forget: list[Callable[[str], None]] = []
        self.finish: list[Callable[[str], object]] = []

    def create(self, experiment: str, run_id: str, **fields: Any) -> dict[str, Any]:
        """Make a run.

        Args:
            experiment: The name of its experiment, which is made if it isn't there.
            run_id: Its id.
            **fields: What is known of it, by run history's names, such as ``parentRunId``.

        Raises:
            Refusal: 409: there is a run of that id; 404: no parent of its id; 400: that can't be an id.
        """
        check_name(run_id, _ID_PATTERN, "a run")
        with self._lock:
            if run_id in self._table:
                raise Refusal(409, f"There is a run {run_id!r} already.", code="Conflict")
            record = self._blank(self._experiments.ensure(experiment), run_id)
            parent = fields.get("parentRunId")
            if parent:
                above = self.get(parent)
                record |= {"rootRunId": above["rootRunId"], "parentRunUuid": above["runUuid"]}
                record |= {"rootRunUuid": above["rootRunUuid"]}
            _merge(record, fields)
            self._table[run_id] = record
            return record

    def get(self, run_id: str) -> dict[str, Any]:
        """Return a run's record.

        Raises:
            Refusal: 404: there is none.
        """
        if run_id not in self._table:
            raise Refusal(404, f"Run {run_id!r} was not found.", code="NotFound")
        return self._table[run_id]

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._table

    def ids(self) -> list[str]:
        """Return the ids of all runs, the oldest first."""
        return list(self._table)

    @contextmanager
    def change(self, run_id: str) -> Iterator[dict[str, Any]]:
        """Yield a run's record, to be changed in the block.

        Raises:
            Refusal: 404: there is none.
        """
        self.get(run_id)
        with self._table.change(run_id) as record:
            yield record
            record["lastModifiedUtc"] = now()

    def newest(self) -> list[Mapping[str, Any]]:
        """Return the records of all runs, the newest first; they must not be changed."""
        return self._table.views()[::-1]

    def children(self, run_id: str) -> list[Mapping[str, Any]]:
        """Return the records of a run's children, the oldest first; they must not be changed."""
        return [record for record in self._table.views() if record["parentRunId"] == run_id]

    def move(self, run_id: str, status: str, *, error: str = "", code: str = "UserError") -> bool:
        """Bring a run into a state, unless it has ended.

        Args:
            run_id: Which one.
            status: The state.
            error: What went wrong, if something did.
            code: Azure's word for that.

        Returns:
            Whether it is in that state now because of this.
        """
        with self.change(run_id) as record:
            if record["status"] in FINAL:
                return False
            record["status"] = status
            if error:
                record["error"] = self.error(error, code)
            if status == "Running":
                record["startTimeUtc"] = record["startTimeUtc"] or now()
            if status in FINAL:
                record["endTimeUtc"] = now()
            return True

    def event(self, run_id: str, event: dict[str, Any]) -> None:
        """Record an event of a run; some events change its state.

        Raises:
            Refusal: 404: there is no such run; 400: there are no such events.
        """
        name = str(event.get("name") or "").removeprefix(_EVENT_PREFIX)
        data = event.get("data") or {}
        if not isinstance(data, dict):
            raise Refusal(400, "An event's data has to be an object.")
        if name not in _EVENT_STATES and name not in _OTHER_EVENTS:
            raise Refusal(400, f"Runs have no event {event.get('name')!r}.")
        with self.change(run_id) as record:
            if name == "Error":
                record["error"] = _lower_keys(data.get("ErrorResponse") or data.get("errorResponse"))
            if name == "Warning":
                record["warnings"].append({"source": data.get("Source"), "message": data.get("Message")})
        if name != "Heartbeat":
            self._events[f"{run_id} {len(self._events)}"] = event
        state = _EVENT_STATES.get(name)
        is_job = bool(self.get(run_id).get("_isJob"))
        if state is None or (is_job and state in {"Queued", "Running"}):  # a job's own course leads there
            return
        if self.move(run_id, state) and is_job and state in FINAL:
            for finish in self.finish:
                finish(run_id)

    def in_experiment(self, experiment: str, run_id: str) -> dict[str, Any]:
        """Return a run's record.

        Args:
            experiment: The name or the id of its experiment.
            run_id: Its id.

        Raises:
            Refusal: 404: there is none, or not in that experiment.
        """
        record = self.get(run_id)
        if experiment not in {record["_experiment"], record["experimentId"]}:
            raise Refusal(404, f"Experiment {experiment!r} has no run {run_id!r}.", code="NotFound")
        return record

    def change_or_make(self, experiment: str, run_id: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Return a run's record after a change; make the run if it isn't there.

        Args:
            experiment: The name or the id of its experiment.
            run_id: Its id.
            changes: New values; tags and properties are added to what is there. The state of an ended run stays.

        Raises:
            Refusal: 400: runs have no such field; 404: the run is in another experiment; or as `create` does.
        """
        unknown = sorted(set(changes) - {"runId", *CHANGEABLE})
        if unknown:
            raise Refusal(400, f"Runs have no {unknown}.")
        if changes.get("runId") not in {None, run_id}:
            raise Refusal(400, f"The run is {run_id!r} in the path and {changes['runId']!r} in the body.")
        with self._lock:
            if run_id not in self._table:
                return self.create(self._named(experiment)["name"], run_id, **changes)
            self.in_experiment(experiment, run_id)
            with self.change(run_id) as record:
                if record["status"] in FINAL:
                    changes = {key: value for key, value in changes.items() if key != "status"}
                _merge(record, changes)
            return self._table[run_id]

    def _named(self, experiment: str) -> dict[str, Any]:
        try:
            return self._experiments.get(experiment)
        except Refusal:
            return self._experiments.by_id(experiment)

    def of(self, experiment: str) -> list[Mapping[str, Any]]:
        """Return the records of an experiment's runs, by its name or id, the oldest first; not to be changed.

        Raises:
            Refusal: 404: there is no such experiment.
        """
        experiment_id = self._named(experiment)["experimentId"]
        return [record for record in self._table.views() if record["experimentId"] == experiment_id]

    def error(self, message: str, code: str) -> dict[str, Any]:
        """Return an error in run history's shape."""
        error: dict[str, Any] = {"code": code, "message": message, "details": [], "innerError": None}
        correlation = {"operation": None, "request": None}
        about = {"environment": "emulator", "location": self._workspace.location, "time": now()}
        return {"error": error, "correlation": correlation, "componentName": "execution", **about}

    def _blank(self, experiment: dict[str, Any], run_id: str) -> dict[str, Any]:
        user = {"userObjectId": self._tokens.identity.client_id, "userName": "emulator"}
        self._last_number += 1
        run_uuid, created = str(uuid.uuid4()), now()
        return dict.fromkeys(_NULL_KEYS) | {
            "runNumber": self._last_number,
            "runId": run_id,
            "runUuid": run_uuid,
            "rootRunId": run_id,
            "rootRunUuid": run_uuid,
            "experimentId": experiment["experimentId"],
            "createdUtc": created,
            "createdBy": user,
            "lastModifiedUtc": created,
            "lastModifiedBy": user,
            "userId": user["userObjectId"],
            "status": "NotStarted",
            "heartbeatEnabled": False,
            "options": {"generateDataContainerIdIfNotSpecified": True},
            "displayName": run_id,
            "dataContainerId": container_of(run_id),
            "hidden": False,
            "properties": {},
            "tags": {},
            "warnings": [],
            "inputDatasets": [],
            "outputDatasets": [],
            "_experiment": experiment["name"],
        }


def _merge(record: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if value is None or key == "runId":
            continue
        if key in _MERGED_KEYS:
            if not isinstance(value, dict):
                raise Refusal(400, f"The {key} have to be an object, they are {type(value).__name__}.")
            if key == "properties":
                _check_unchanged(record, value)
            record[key].update(value)
        elif key in _ADDED_KEYS:  # a client names each dataset when it comes to it
            if not isinstance(value, list):
                raise Refusal(400, f"The {key} have to be a list, they are {type(value).__name__}.")
            record[key] += [each for each in value if each not in record[key]]
        else:
            record[key] = value
    if record["status"] == "Running" and record["startTimeUtc"] is None:
        record["startTimeUtc"] = now()
    if record["status"] in FINAL and record["endTimeUtc"] is None:
        record["endTimeUtc"] = now()


def _check_unchanged(record: dict[str, Any], properties: dict[str, Any]) -> None:
    known = record["properties"]
    changed = sorted(name for name in properties if name in known and known[name] != properties[name])
    if changed:
        raise Refusal(400, f"The properties {changed} of run {record['runId']!r} can't be changed once they are set.")


def _lower_keys(value: Any) -> Any:
    """Return the same with the wire's keys: some clients send those of their own language."""
    if isinstance(value, dict):
        return {re.sub(r"_(\w)", lambda found: found[1].upper(), key): _lower_keys(each) for key, each in value.items()}
    return [_lower_keys(each) for each in value] if isinstance(value, list) else value
