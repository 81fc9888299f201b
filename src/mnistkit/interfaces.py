"""The three interfaces behind which backends are pluggable, one a file. Each docstring is the contract."""

from mnistkit.data.source import DataSource, KnownContent, PinnedSource
from mnistkit.registry.registry import ModelRegistry, RegistersRuns
from mnistkit.runs.backend import ComputeBackend, SupportsDelete, SupportsGroups, SupportsStart

__all__ = [
    "ComputeBackend",
    "DataSource",
    "KnownContent",
    "ModelRegistry",
    "PinnedSource",
    "RegistersRuns",
    "SupportsDelete",
    "SupportsGroups",
    "SupportsStart",
]
