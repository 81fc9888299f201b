"""How good a model is, and which of two is better."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "comparison": ["Comparison", "compare", "mcnemar"],
        "results": ["run_dataset", "run_evaluation", "run_model"],
        "scores": ["ClassScore", "Evaluation", "evaluate", "wilson_interval"],
    },
)
