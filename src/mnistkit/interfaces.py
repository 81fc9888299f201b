"""The three interfaces behind which backends are pluggable, one a file. Each docstring is the contract."""

from mnistkit.data.source import DataSource, KnownContent, PinnedSource
from mnistkit.registry.registry import ModelRegistry, RegistersRuns
from mnistkit.runs.backend import ComputeBackend, GroupBackend

__all__ = [
    "ComputeBackend",
    "DataSource",
    "GroupBackend",
    "KnownContent",
    "ModelRegistry",
    "PinnedSource",
    "RegistersRuns",
]
