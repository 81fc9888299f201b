"""The three interfaces behind which backends are pluggable, one a file. Each docstring is the contract."""

from mnistkit.interfaces.compute_backend import ComputeBackend, GroupBackend
from mnistkit.interfaces.data_source import DataSource, PinnedSource
from mnistkit.interfaces.known_content import KnownContent
from mnistkit.interfaces.model_registry import ModelRegistry
from mnistkit.interfaces.run_files import RegistersRuns

__all__ = [
    "ComputeBackend",
    "DataSource",
    "GroupBackend",
    "KnownContent",
    "ModelRegistry",
    "PinnedSource",
    "RegistersRuns",
]
