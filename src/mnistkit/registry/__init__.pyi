from mnistkit.registry.export import export_model as export_model
from mnistkit.registry.loading import load_model as load_model
from mnistkit.registry.promotion import promote as promote
from mnistkit.registry.promotion import resolve_model as resolve_model
from mnistkit.registry.promotion import rollback as rollback
from mnistkit.registry.registry import ModelRegistry as ModelRegistry
from mnistkit.registry.registry import RegistersRuns as RegistersRuns
from mnistkit.registry.search import search_models as search_models
from mnistkit.registry.verification import Problem as Problem
from mnistkit.registry.verification import Verification as Verification
from mnistkit.registry.version import Assignment as Assignment
from mnistkit.registry.version import ModelRef as ModelRef
from mnistkit.registry.version import ModelVersion as ModelVersion

__all__ = [
    "Assignment",
    "ModelRef",
    "ModelRegistry",
    "ModelVersion",
    "Problem",
    "RegistersRuns",
    "Verification",
    "export_model",
    "load_model",
    "promote",
    "resolve_model",
    "rollback",
    "search_models",
]
