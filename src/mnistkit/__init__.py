"""Train, track and register MNIST-like image classifiers.

Start with `Trainer.local`, `load_dataset` and `load_model`; the command line is ``mnistkit``.
Importing this package loads nothing else: each name is imported when it is first used.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

_public_name, _, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["Config"],
        "data.dataset": ["Dataset"],
        "data.split": ["Split"],
        "data.source": ["DataSource"],
        "errors": ["MnistkitError"],
        "evaluation.comparison": ["Comparison", "compare"],
        "evaluation.scores": ["Evaluation", "evaluate"],
        "jobs.environment": ["Environment"],
        "jobs.fingerprint": ["Fingerprint"],
        "jobs.job": ["DATA_FOLDER", "ScriptJob", "TrainingJob"],
        "jobs.provenance": ["Provenance"],
        "jobs.spec": ["ModelSpec"],
        "models.persistence": ["save_model"],
        "plugins": ["load_dataset"],
        "registry.export": ["export_model"],
        "registry.loading": ["load_model"],
        "registry.promotion": ["promote", "resolve_model", "rollback"],
        "registry.registry": ["ModelRegistry"],
        "registry.search": ["search_models"],
        "registry.verification": ["Verification"],
        "registry.version": ["Assignment", "ModelVersion"],
        "runs.backend": ["ComputeBackend"],
        "runs.context": ["RunContext", "get_context"],
        "runs.record": ["RunRecord", "RunState"],
        "runs.reuse": ["ReuseDecision"],
        "runs.run": ["Run", "best_run"],
        "sweeps.search": ["Halving"],
        "sweeps.sweep": ["Sweep"],
        "trainer.trainer": ["Trainer"],
    },
)
__all__ += ["__version__"]


def __getattr__(name: str) -> Any:
    if name != "__version__":
        return _public_name(name)
    from importlib.metadata import version

    return version("mnistkit")


def __dir__() -> list[str]:
    return sorted(__all__)
