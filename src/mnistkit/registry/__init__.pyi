from mnistkit.registry.deployment import DeploymentRecord as DeploymentRecord
from mnistkit.registry.deployment import DeploymentState as DeploymentState
from mnistkit.registry.deployment import DeploymentTarget as DeploymentTarget
from mnistkit.registry.deployment import SupportsDeployment as SupportsDeployment
from mnistkit.registry.export import export_model as export_model
from mnistkit.registry.info import ModelInfo as ModelInfo
from mnistkit.registry.loading import load_model as load_model
from mnistkit.registry.promotion import promote as promote
from mnistkit.registry.promotion import resolve_model as resolve_model
from mnistkit.registry.promotion import rollback as rollback
from mnistkit.registry.registry import ModelRegistry as ModelRegistry
from mnistkit.registry.registry import SupportsRunFiles as SupportsRunFiles
from mnistkit.registry.search import search_models as search_models
from mnistkit.registry.signing import SupportsSignatures as SupportsSignatures
from mnistkit.registry.table import VersionTable as VersionTable
from mnistkit.registry.verification import Problem as Problem
from mnistkit.registry.verification import SupportsInspect as SupportsInspect
from mnistkit.registry.verification import SupportsNumbers as SupportsNumbers
from mnistkit.registry.verification import Verification as Verification
from mnistkit.registry.verification import verify_models as verify_models
from mnistkit.registry.verification import version_numbers as version_numbers
from mnistkit.registry.version import Assignment as Assignment
from mnistkit.registry.version import ModelRef as ModelRef
from mnistkit.registry.version import ModelVersion as ModelVersion

__all__ = [
    "Assignment",
    "DeploymentRecord",
    "DeploymentState",
    "DeploymentTarget",
    "ModelInfo",
    "ModelRef",
    "ModelRegistry",
    "ModelVersion",
    "Problem",
    "SupportsDeployment",
    "SupportsInspect",
    "SupportsNumbers",
    "SupportsRunFiles",
    "SupportsSignatures",
    "Verification",
    "VersionTable",
    "export_model",
    "load_model",
    "promote",
    "resolve_model",
    "rollback",
    "search_models",
    "verify_models",
    "version_numbers",
]
