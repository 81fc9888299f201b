"""Where the workspace's services are: all of them at the emulator's own address."""

from __future__ import annotations

from collections.abc import Sequence

from mnistkit.emulator.routing import Request, Response, Route
from mnistkit.emulator.workspace import Workspace

__all__ = ["Discovery"]

_SERVICES = (
    "api",
    "artifact",
    "catalog",
    "dataset",
    "datastore",
    "execution",
    "experimentation",
    "gallery",
    "history",
    "hyperdrive",
    "metric",
    "modelmanagement",
    "notebooks",
    "pipelines",
    "rex",
    "runhistory",
    "studio",
)


class Discovery:
    """Answers without a token, as Azure does: it tells addresses alone."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @property
    def routes(self) -> Sequence[Route]:
        """What it answers."""
        return (
            Route("GET", "/discovery", self._services, is_open=True),
            Route("GET", "/discovery/{path*}", self._services, is_open=True),
        )

    def _services(self, request: Request, path: str = "") -> Response:
        return Response.json(dict.fromkeys(_SERVICES, self._workspace.url))
