from mnistkit.runs.backend import ComputeBackend as ComputeBackend
from mnistkit.runs.backend import GroupBackend as GroupBackend
from mnistkit.runs.context import RunContext as RunContext
from mnistkit.runs.context import get_context as get_context
from mnistkit.runs.record import Attempt as Attempt
from mnistkit.runs.record import MetricPoint as MetricPoint
from mnistkit.runs.record import Phase as Phase
from mnistkit.runs.record import RunRecord as RunRecord
from mnistkit.runs.record import RunState as RunState
from mnistkit.runs.record import Transition as Transition
from mnistkit.runs.reuse import Explanation as Explanation
from mnistkit.runs.run import Run as Run
from mnistkit.runs.run import best_run as best_run

__all__ = [
    "Attempt",
    "ComputeBackend",
    "Explanation",
    "GroupBackend",
    "MetricPoint",
    "Phase",
    "Run",
    "RunContext",
    "RunRecord",
    "RunState",
    "Transition",
    "best_run",
    "get_context",
]
