"""Runs: their records, the backends that keep them, and the handle that users hold."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "backend": ["ComputeBackend", "GroupBackend"],
        "context": ["RunContext", "get_context"],
        "record": ["Attempt", "MetricPoint", "Phase", "RunRecord", "RunState", "Transition"],
        "reuse": ["Explanation"],
        "run": ["Run", "best_run"],
    },
)
