"""A plugin of the scheduler: an entry for each task of runs, which nodes write and clients read.

Everything that two programs could decide differently is decided here, since a scheduler handles one message after
another: which start of a task is the present one, and whether a run's end was recorded before it started. An entry
lives as long as its task, so nothing is left when Dask forgets the task.
"""

from __future__ import annotations

import time
from typing import Any

from mnistkit.dask._sdk import SchedulerPlugin

__all__ = ["RUN_PREFIX", "RunsPlugin"]

RUN_PREFIX = "mnistkit-run-"
"""The beginning of the keys of tasks."""


class RunsPlugin(SchedulerPlugin):  # type: ignore[misc] # Dask's types aren't looked at
    """Keeps, by the key of a task: its starts, the runs that mustn't start any more, and the latest records.

    All values are plain: they travel as msgpack.
    """

    name = "mnistkit-runs-1"  # the number is that of the messages
    idempotent = True

    def __init__(self) -> None:
        self._scheduler: Any = None
        self._starts: dict[str, list[dict[str, Any]]] = {}
        self._ended: dict[str, list[str]] = {}
        self._records: dict[str, dict[str, Any]] = {}

    async def start(self, scheduler: Any) -> None:
        """Add the messages to those that the scheduler takes."""
        self._scheduler = scheduler
        scheduler.handlers |= {
            "mnistkit_begin": self.begin,
            "mnistkit_report": self.report,
            "mnistkit_states": self.states,
            "mnistkit_end": self.end,
            "mnistkit_now": self.now,
            "mnistkit_count": self.count,
        }

    def transition(self, key: Any, _: str, finish: str, *__: Any, **___: Any) -> None:
        """Drop what is kept of a task that Dask forgets."""
        if finish == "forgotten":
            for kept in (self._starts, self._ended, self._records):
                kept.pop(key, None)

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:  # noqa: ARG002 - as Dask calls it
        """Note that what a worker had started is lost, also if it had ended: the result was there alone."""
        for starts in self._starts.values():
            for start in starts:
                start["is_lost"] = start["is_lost"] or start["worker"] == worker

    def begin(self, key: str, worker: str, host: str) -> dict[str, Any]:
        """Note that a worker starts a task; return what earlier starts left, and the runs that mustn't start.

        A worker may still get a task that has been forgotten meanwhile: nothing waits for that.
        """
        if key not in self._scheduler.tasks:
            return {"is_wanted": False}
        earlier = self._starts.setdefault(key, [])
        found = {
            "is_wanted": True,
            "lost": [dict(start) for start in earlier],
            "ended": list(self._ended.get(key, ())),
            "records": dict(self._records.get(key, {})),
            "now": time.time(),
        }
        for start in earlier:
            start["is_lost"] = True
        earlier.append({"worker": worker, "host": host, "is_lost": False})
        return found

    def report(self, key: str, worker: str, records: dict[str, Any]) -> dict[str, Any]:
        """Keep the records of runs that a node sends; return which runs are to end, and whether the task has."""
        starts = self._starts.get(key, [])
        is_present = bool(starts) and starts[-1]["worker"] == worker and not starts[-1]["is_lost"]
        if is_present:
            self._records.setdefault(key, {}).update(records)
        return {"is_wanted": is_present, "ended": list(self._ended.get(key, ()))}

    def now(self) -> float:
        """Return the scheduler's time in seconds since 1970."""
        return time.time()

    def count(self) -> dict[str, int]:
        """Return how many tasks of runs wait for a worker, and how many have one."""
        tasks = [task for key, task in self._scheduler.tasks.items() if str(key).startswith(RUN_PREFIX)]
        begun = sum(task.processing_on is not None and bool(self._starts.get(task.key)) for task in tasks)
        waiting = sum(task.state in {"queued", "no-worker", "waiting", "processing"} for task in tasks)
        return {"running": begun, "queued": waiting - begun}

    def states(self, keys: list[str]) -> dict[str, Any]:
        """Return the state of tasks and what nodes reported."""
        return {key: self._entry(key) for key in keys}

    def end(self, key: str, run_id: str) -> dict[str, Any]:
        """Note that a run must not start any more; return the task as it is at this moment."""
        if key in self._scheduler.tasks and run_id not in self._ended.setdefault(key, []):
            self._ended[key].append(run_id)
        return self._entry(key)

    def _entry(self, key: str) -> dict[str, Any]:
        task = self._scheduler.tasks.get(key)
        if task is None:
            return {"state": "gone"}
        return {
            "state": task.state,
            "is_assigned": task.processing_on is not None,
            "workers": len(self._scheduler.workers),
            "error": str(task.exception_text or "") if task.state == "erred" else "",
            "starts": [dict(start) for start in self._starts.get(key, ())],
            "records": dict(self._records.get(key, {})),
        }
