from mnistkit.runs.backend import ComputeBackend as ComputeBackend
from mnistkit.runs.backend import SupportsAnnotations as SupportsAnnotations
from mnistkit.runs.backend import SupportsDelete as SupportsDelete
from mnistkit.runs.backend import SupportsGroups as SupportsGroups
from mnistkit.runs.backend import SupportsPoints as SupportsPoints
from mnistkit.runs.backend import SupportsRunRows as SupportsRunRows
from mnistkit.runs.backend import SupportsSources as SupportsSources
from mnistkit.runs.backend import SupportsStart as SupportsStart
from mnistkit.runs.backend import SupportsTracking as SupportsTracking
from mnistkit.runs.backend import SupportsWaiting as SupportsWaiting
from mnistkit.runs.context import RunContext as RunContext
from mnistkit.runs.context import get_context as get_context
from mnistkit.runs.delegation import DelegatingCompute as DelegatingCompute
from mnistkit.runs.experiments import ExperimentSummary as ExperimentSummary
from mnistkit.runs.experiments import summarize_experiments as summarize_experiments
from mnistkit.runs.filter import RunFilter as RunFilter
from mnistkit.runs.filter import parse_filter as parse_filter
from mnistkit.runs.observers import ObservedCompute as ObservedCompute
from mnistkit.runs.observers import RunObserver as RunObserver
from mnistkit.runs.record import Attempt as Attempt
from mnistkit.runs.record import MetricPoint as MetricPoint
from mnistkit.runs.record import Phase as Phase
from mnistkit.runs.record import RunRecord as RunRecord
from mnistkit.runs.record import RunState as RunState
from mnistkit.runs.record import Transition as Transition
from mnistkit.runs.retention import PruningPlan as PruningPlan
from mnistkit.runs.retention import plan_pruning as plan_pruning
from mnistkit.runs.retention import prune as prune
from mnistkit.runs.retention import registered_versions as registered_versions
from mnistkit.runs.reuse import ReuseDecision as ReuseDecision
from mnistkit.runs.row import RunRow as RunRow
from mnistkit.runs.run import Run as Run
from mnistkit.runs.run import best_run as best_run
from mnistkit.runs.table import RunTable as RunTable

__all__ = [
    "Attempt",
    "ComputeBackend",
    "DelegatingCompute",
    "ExperimentSummary",
    "MetricPoint",
    "ObservedCompute",
    "Phase",
    "PruningPlan",
    "ReuseDecision",
    "Run",
    "RunContext",
    "RunFilter",
    "RunObserver",
    "RunRecord",
    "RunRow",
    "RunState",
    "RunTable",
    "SupportsAnnotations",
    "SupportsDelete",
    "SupportsGroups",
    "SupportsPoints",
    "SupportsRunRows",
    "SupportsSources",
    "SupportsStart",
    "SupportsTracking",
    "SupportsWaiting",
    "Transition",
    "best_run",
    "get_context",
    "parse_filter",
    "plan_pruning",
    "prune",
    "registered_versions",
    "summarize_experiments",
]
