"""Train, track and register MNIST-like image classifiers.

Start with `Trainer.local`, `load_dataset` and `load_model`; the command line is ``mnistkit``.
Importing this package loads nothing else: each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers; at run time __getattr__ imports each on first use
    from mnistkit.data.dataset import Dataset, Split
    from mnistkit.errors import MnistkitError
    from mnistkit.evaluation.comparison import Comparison, compare
    from mnistkit.evaluation.scores import Evaluation, evaluate
    from mnistkit.interfaces import ComputeBackend, DataSource, ModelRegistry
    from mnistkit.jobs.fingerprint import Fingerprint
    from mnistkit.jobs.job import DATA_FOLDER, Environment, ScriptJob, TrainingJob
    from mnistkit.jobs.provenance import Provenance
    from mnistkit.jobs.spec import ModelSpec
    from mnistkit.models.persistence import load_model, save_model
    from mnistkit.registry.export import export_model
    from mnistkit.registry.promotion import promote, resolve_model, rollback
    from mnistkit.registry.search import search_models
    from mnistkit.registry.verification import Verification
    from mnistkit.registry.version import Assignment, ModelVersion
    from mnistkit.runs.context import RunContext, get_context
    from mnistkit.runs.reuse import Explanation
    from mnistkit.runs.run import Run, RunRecord, RunState, best_run
    from mnistkit.sweeps import Halving, Sweep
    from mnistkit.trainer import Trainer, load_dataset

    __version__: str

__all__ = [
    "DATA_FOLDER",
    "Assignment",
    "Comparison",
    "ComputeBackend",
    "DataSource",
    "Dataset",
    "Environment",
    "Evaluation",
    "Explanation",
    "Fingerprint",
    "Halving",
    "MnistkitError",
    "ModelRegistry",
    "ModelSpec",
    "ModelVersion",
    "Provenance",
    "Run",
    "RunContext",
    "RunRecord",
    "RunState",
    "ScriptJob",
    "Split",
    "Sweep",
    "Trainer",
    "TrainingJob",
    "Verification",
    "__version__",
    "best_run",
    "compare",
    "evaluate",
    "export_model",
    "get_context",
    "load_dataset",
    "load_model",
    "promote",
    "resolve_model",
    "rollback",
    "save_model",
    "search_models",
]

_MODULES = {
    "DATA_FOLDER": "jobs.job",
    "Assignment": "registry.version",
    "Comparison": "evaluation.comparison",
    "ComputeBackend": "interfaces",
    "DataSource": "interfaces",
    "Dataset": "data.dataset",
    "Environment": "jobs.job",
    "Evaluation": "evaluation.scores",
    "Explanation": "runs.reuse",
    "Fingerprint": "jobs.fingerprint",
    "Halving": "sweeps",
    "MnistkitError": "errors",
    "ModelRegistry": "interfaces",
    "ModelSpec": "jobs.spec",
    "ModelVersion": "registry.version",
    "Provenance": "jobs.provenance",
    "Run": "runs.run",
    "RunContext": "runs.context",
    "RunRecord": "runs.run",
    "RunState": "runs.run",
    "ScriptJob": "jobs.job",
    "Split": "data.dataset",
    "Sweep": "sweeps",
    "Trainer": "trainer",
    "TrainingJob": "jobs.job",
    "Verification": "registry.verification",
    "best_run": "runs.run",
    "compare": "evaluation.comparison",
    "evaluate": "evaluation.scores",
    "export_model": "registry.export",
    "get_context": "runs.context",
    "load_dataset": "trainer",
    "load_model": "models.persistence",
    "promote": "registry.promotion",
    "resolve_model": "registry.promotion",
    "rollback": "registry.promotion",
    "save_model": "models.persistence",
    "search_models": "registry.search",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mnistkit")
    if name not in _MODULES:
        raise AttributeError(f"module 'mnistkit' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"mnistkit.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
