"""The three interfaces behind which backends are pluggable, one a file. Each docstring is the contract."""

from mnistkit.data.source import DataSource, KnownContent, PinnedSource
from mnistkit.registry.registry import ModelRegistry, SupportsRunFiles
from mnistkit.registry.signing import SupportsSignatures
from mnistkit.registry.verification import SupportsInspect, SupportsNumbers
from mnistkit.runs.backend import ComputeBackend, GroupBackend

__all__ = [
    "ComputeBackend",
    "DataSource",
    "GroupBackend",
    "KnownContent",
    "ModelRegistry",
    "PinnedSource",
    "SupportsInspect",
    "SupportsNumbers",
    "SupportsRunFiles",
    "SupportsSignatures",
]
