"""The interfaces behind which backends are pluggable, and what a backend may offer besides.

Each docstring is the contract; the suites of `mnistkit.testing` prove it.
"""

from mnistkit.data.source import DataSource, SupportsDigests, SupportsName, SupportsPins, SupportsSize
from mnistkit.registry.deployment import DeploymentTarget, SupportsDeployment
from mnistkit.registry.registry import ModelRegistry, SupportsRunFiles
from mnistkit.registry.signing import SupportsSignatures
from mnistkit.registry.verification import SupportsInspect, SupportsNumbers
from mnistkit.runs.backend import (
    ComputeBackend,
    SupportsAnnotations,
    SupportsDelete,
    SupportsGroups,
    SupportsPoints,
    SupportsRunRows,
    SupportsSources,
    SupportsStart,
    SupportsTracking,
    SupportsWaiting,
)

__all__ = [
    "ComputeBackend",
    "DataSource",
    "DeploymentTarget",
    "ModelRegistry",
    "SupportsAnnotations",
    "SupportsDelete",
    "SupportsDeployment",
    "SupportsDigests",
    "SupportsGroups",
    "SupportsInspect",
    "SupportsName",
    "SupportsNumbers",
    "SupportsPins",
    "SupportsPoints",
    "SupportsRunFiles",
    "SupportsRunRows",
    "SupportsSignatures",
    "SupportsSize",
    "SupportsSources",
    "SupportsStart",
    "SupportsTracking",
    "SupportsWaiting",
]
