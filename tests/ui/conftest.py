"""The pages of some runs and a model, and a client of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("flask", reason="the extra 'ui' isn't installed")
pytest.importorskip("waitress", reason="the extra 'ui' isn't installed")
pytest.importorskip("jinja2")


@pytest.fixture(scope="package")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs, a sweep and a model, whose texts are hostile."""
    from support.ui import make_trainer

    return make_trainer(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="package")
def server(trainer: Any) -> Iterator[Any]:
    """The pages, which may only be read."""
    from mnistkit.ui.server import UiServer

    with UiServer(trainer, port=0) as running:
        yield running


@pytest.fixture(scope="package")
def visitor(server: Any) -> Any:
    """A client that has opened the printed address."""
    from support.ui import Visitor

    return Visitor.of(server.url)
