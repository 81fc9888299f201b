"""A backend on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mnistkit.interfaces import ComputeBackend
from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.record import MetricPoint, RunRecord, RunState, Transition
from mnistkit.utils.clock import utc_now


class Paper(ComputeBackend):
    """A backend with one run, whose log and states are written by the test: the outermost boundary."""

    def __init__(self) -> None:
        self.log = ""
        self.states = [RunState.QUEUED]
        self.points: tuple[MetricPoint, ...] = ()
        self.asked: list[int] = []

    def get(self, run_id: str) -> RunRecord:
        transitions = tuple(Transition(state, utc_now()) for state in self.states)
        return RunRecord(id=run_id, job=ScriptJob("folder"), data="digits", transitions=transitions, points=self.points)

    def logs(self, run_id: str, *, start: int = 0) -> str:
        self.asked.append(start)
        return self.log[start:]

    def submit(self, job: Any, data: Any, *, detach: bool = False) -> RunRecord:
        raise NotImplementedError

    def runs(self, experiment: str | None = None) -> tuple[RunRecord, ...]:
        raise NotImplementedError

    def cancel(self, run_id: str) -> None:
        raise NotImplementedError

    def download(self, run_id: str, file: str, into: Path) -> Path:
        raise NotImplementedError
