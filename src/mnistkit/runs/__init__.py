"""Runs: their records, the backends that keep them, and the handle that users hold."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "backend": [
            "ComputeBackend",
            "SupportsAnnotations",
            "SupportsDelete",
            "SupportsGroups",
            "SupportsPoints",
            "SupportsRunRows",
            "SupportsSources",
            "SupportsStart",
            "SupportsTracking",
            "SupportsWaiting",
        ],
        "context": ["RunContext", "get_context"],
        "delegation": ["DelegatingCompute"],
        "experiments": ["ExperimentSummary", "summarize_experiments"],
        "filter": ["RunFilter", "parse_filter"],
        "observers": ["ObservedCompute", "RunObserver"],
        "record": ["Attempt", "MetricPoint", "Phase", "RunRecord", "RunState", "Transition"],
        "retention": ["PruningPlan", "plan_pruning", "prune", "registered_versions"],
        "reuse": ["ReuseDecision"],
        "row": ["RunRow"],
        "run": ["Run", "best_run"],
        "table": ["RunTable"],
    },
)
