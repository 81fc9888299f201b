"""The base of the suites of `ModelRegistry`: fixtures and hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from mnistkit.interfaces import ModelRegistry
from mnistkit.registry.version import ModelVersion
from mnistkit.testing.contract import ContractSuite

__all__ = ["FILES", "ModelRegistrySuiteBase", "content"]


FILES: Final = {"model.skops": b"the model", "labels.txt": "zéro\nun\n".encode(), "extra/deep/empty.bin": b""}
"""Files that the suites register: their bytes by their paths."""


class ModelRegistrySuiteBase(ContractSuite):
    """Fixtures and hooks that every suite of `ModelRegistry` shares; see `ModelRegistrySuite`."""

    interface = "ModelRegistry"

    @pytest.fixture
    def registry(self) -> ModelRegistry:
        """The registry under test, empty."""
        raise NotImplementedError("define a fixture 'registry' in the subclass")

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder with files to register, one of them in a subfolder and empty."""
        for file, data in FILES.items():
            path = tmp_path / "source" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / "source"

    def damage(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Change a byte of the stored ``model.skops`` of ``model`` behind the registry's back."""
        pytest.skip(f"damage() isn't overridden: nothing can reach the files of {model.id} in {registry!r}")

    def damage_record(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Make what is kept about ``model``, other than its files, unreadable behind the registry's back."""
        pytest.skip(f"damage_record() isn't overridden: nothing can reach what {registry!r} keeps about {model.id}")

    def reopened(self, registry: ModelRegistry) -> ModelRegistry:
        """The same registry as a later process makes it."""
        pytest.skip(f"reopened() isn't overridden: nothing tells what a later process finds of {registry!r}")


def content(folder: Path) -> dict[str, bytes]:
    """Return the bytes of each file of a folder, by its relative path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
