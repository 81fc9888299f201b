"""A registry with models of the digits of scikit-learn, and servers of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models.input import InputSpec
from mnistkit.models.persistence import save_model
from mnistkit.models.probe import probe_rows
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.version import ModelVersion
from mnistkit.serving.server import ModelServer
from support.serving import Client, Register, digits, rows

pytest.importorskip("flask", reason="the extra 'serve' isn't installed")
pytest.importorskip("waitress", reason="the extra 'serve' isn't installed")


@pytest.fixture(scope="session")
def images() -> Any:
    """The images of the digits."""
    return digits()[0]


@pytest.fixture(scope="session")
def fitted() -> LogisticRegression:
    """A classifier of digits."""
    found, labels = digits()
    return LogisticRegression(C=2.0, tol=1e-3, max_iter=200).fit(rows(found), labels)


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    """An empty registry."""
    return FolderRegistry(tmp_path / "registry")


@pytest.fixture
def register(registry: FolderRegistry, tmp_path: Path, images: Any) -> Register:
    """Register a classifier as the next version of ``digits``."""

    def add(classifier: Any, *, probe: Any = True, form: str = "skops", spec: InputSpec | None = None) -> ModelVersion:
        folder = tmp_path / f"model-{len(list(tmp_path.glob('model-*')))}"
        folder.mkdir()
        save_model(classifier, folder, format=form, probe=probe_rows(rows(images)) if probe else None)  # type: ignore[arg-type]
        return registry.register("digits", folder, ModelInfo(format=form, input=spec))

    return add


@pytest.fixture
def spec() -> InputSpec:
    """How the digits were made: light on dark, taken as they are."""
    return InputSpec(height=8, width=8, inverted=True, centred=False)


@pytest.fixture
def served(registry: FolderRegistry, register: Register, fitted: Any, spec: InputSpec) -> Iterator[ModelServer]:
    """A server of a logistic regression."""
    register(fitted, spec=spec)
    with ModelServer(registry, "digits", port=0) as server:
        yield server


@pytest.fixture
def client(served: ModelServer) -> Iterator[Client]:
    """Requests to the server."""
    made = Client(served.url)
    yield made
    made.http.clear()
