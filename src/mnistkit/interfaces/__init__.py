"""The three interfaces behind which backends are pluggable, one a file. Each docstring is the contract."""

from mnistkit.data.known_content import KnownContent
from mnistkit.data.source import DataSource, PinnedSource
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.run_files import RegistersRuns
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
