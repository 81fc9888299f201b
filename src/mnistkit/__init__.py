"""Train, track and register MNIST-like image classifiers.

Start with `Trainer.local`, `load_dataset` and `load_model`; the command line is ``mnistkit``.
Importing this package loads nothing else: each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers; at run time __getattr__ imports each on first use
    from mnistkit.catalog import search_models
    from mnistkit.comparison import Comparison, compare
    from mnistkit.context import RunContext, get_context
    from mnistkit.dataset import Dataset, Split
    from mnistkit.errors import MnistkitError
    from mnistkit.evaluation import Evaluation, evaluate
    from mnistkit.export import export_model
    from mnistkit.fingerprint import Fingerprint
    from mnistkit.interfaces import ComputeBackend, DataSource, ModelRegistry
    from mnistkit.jobs import DATA_FOLDER, Environment, ScriptJob, TrainingJob
    from mnistkit.models import Assignment, ModelVersion
    from mnistkit.persistence import load_model, save_model
    from mnistkit.promotion import promote, resolve_model, rollback
    from mnistkit.provenance import Provenance
    from mnistkit.reuse import Explanation
    from mnistkit.runs import Run, RunRecord, RunState, best_run
    from mnistkit.spec import ModelSpec
    from mnistkit.sweeps import Halving, Sweep
    from mnistkit.trainer import Trainer, load_dataset
    from mnistkit.verification import Verification

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
    "DATA_FOLDER": "jobs",
    "Assignment": "models",
    "Comparison": "comparison",
    "ComputeBackend": "interfaces",
    "DataSource": "interfaces",
    "Dataset": "dataset",
    "Environment": "jobs",
    "Evaluation": "evaluation",
    "Explanation": "reuse",
    "Fingerprint": "fingerprint",
    "Halving": "sweeps",
    "MnistkitError": "errors",
    "ModelRegistry": "interfaces",
    "ModelSpec": "spec",
    "ModelVersion": "models",
    "Provenance": "provenance",
    "Run": "runs",
    "RunContext": "context",
    "RunRecord": "runs",
    "RunState": "runs",
    "ScriptJob": "jobs",
    "Split": "dataset",
    "Sweep": "sweeps",
    "Trainer": "trainer",
    "TrainingJob": "jobs",
    "Verification": "verification",
    "best_run": "runs",
    "compare": "comparison",
    "evaluate": "evaluation",
    "export_model": "export",
    "get_context": "context",
    "load_dataset": "trainer",
    "load_model": "persistence",
    "promote": "promotion",
    "resolve_model": "promotion",
    "rollback": "promotion",
    "save_model": "persistence",
    "search_models": "catalog",
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
