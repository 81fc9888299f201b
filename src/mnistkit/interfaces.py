"""The three interfaces behind which backends are pluggable, one a file. Each docstring is the contract."""

from mnistkit.data.source import DataSource, KnownContent, PinnedSource
from mnistkit.registry.registry import ModelRegistry, SupportsRunFiles
from mnistkit.registry.signing import SupportsSignatures
from mnistkit.registry.verification import SupportsInspect, SupportsNumbers
from mnistkit.runs.backend import ComputeBackend, SupportsDelete, SupportsGroups, SupportsStart

__all__ = [
    "ComputeBackend",
    "DataSource",
    "KnownContent",
    "ModelRegistry",
    "PinnedSource",
    "SupportsDelete",
    "SupportsGroups",
    "SupportsInspect",
    "SupportsNumbers",
    "SupportsRunFiles",
    "SupportsSignatures",
    "SupportsStart",
]
