"""Discovery: the addresses of the workspace's services, all of them the emulator's own."""

from __future__ import annotations

import html
from collections.abc import Sequence

from mnistkit.emulator.routing import Request, Response, Route
from mnistkit.emulator.workspace import Workspace

__all__ = ["Discovery"]

_SERVICE_NAMES = (
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

_NO_STUDIO_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>{run}</title>
<h1>{run}</h1>
<p>This workspace, {name}, is emulated on this machine, and has no studio to look at runs with. In the emulator's
environment, <code>workspace.get_run("{run}").get_details_with_logs()</code> shows this one.</p>
"""


class Discovery:
    """Azure's discovery service; open without a token, since it holds addresses alone."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return (
            Route("GET", "/discovery", self._services, is_open=True),
            Route("GET", "/discovery/{path*}", self._services, is_open=True),
            Route("GET", "/runs/{run}", self._no_studio, is_open=True),  # where the SDK's links to runs lead
        )

    def _services(self, request: Request, path: str = "") -> Response:
        addresses = dict.fromkeys(_SERVICE_NAMES, self._workspace.url)
        # The SDK's second version reads this one alone, and sends tokens over TLS alone.
        return Response.json(addresses | {"api": f"https://{self._workspace.api_host}"})

    def _no_studio(self, request: Request, run: str) -> Response:
        """Return the page behind a link to a run; it shows nothing of the run, since it needs no token."""
        page = _NO_STUDIO_PAGE.format(run=html.escape(run), name=html.escape(self._workspace.name))
        return Response(body=page.encode(), content_type="text/html; charset=utf-8")
