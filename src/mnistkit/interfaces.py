"""The three interfaces behind which backends are pluggable, one a file. Each docstring is the contract."""

from mnistkit.data.source import DataSource, SupportsDigests, SupportsPins
from mnistkit.registry.registry import ModelRegistry, RegistersRuns
from mnistkit.runs.backend import ComputeBackend, SupportsDelete, SupportsGroups, SupportsStart

__all__ = [
    "ComputeBackend",
    "DataSource",
    "ModelRegistry",
    "RegistersRuns",
    "SupportsDelete",
    "SupportsDigests",
    "SupportsGroups",
    "SupportsPins",
    "SupportsStart",
]
