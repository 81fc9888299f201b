"""Runs: their records, the backends that keep them, and the handle that users hold."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "backend": ["ComputeBackend", "SupportsDelete", "SupportsGroups", "SupportsPoints", "SupportsStart"],
        "context": ["RunContext", "get_context"],
        "delegation": ["DelegatingCompute"],
        "observers": ["ObservedCompute", "RunObserver"],
        "record": ["Attempt", "MetricPoint", "Phase", "RunRecord", "RunState", "Transition"],
        "retention": ["PruningPlan", "plan_pruning", "prune", "registered_versions"],
        "reuse": ["ReuseDecision"],
        "run": ["Run", "best_run"],
    },
)
