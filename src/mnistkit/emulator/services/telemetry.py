"""Application Insights: the SDK's telemetry is received and dropped."""

from __future__ import annotations

from collections.abc import Sequence

from mnistkit.emulator.routing import Refusal, Request, Response, Route

__all__ = ["Telemetry"]

_HOSTS = ("*.services.visualstudio.com", "*.applicationinsights.azure.com")


class Telemetry:
    """Application Insights' endpoints."""

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return tuple(
            Route("POST", path, self._take, host=host, is_open=True)
            for host in _HOSTS
            for path in ("/v2/track", "/v2.1/track")
        )

    def _take(self, request: Request) -> Response:
        try:
            items = request.json()
            count = len(items) if isinstance(items, list) else 1
        except Refusal:  # it may be compressed
            count = 1
        return Response.json({"itemsReceived": count, "itemsAccepted": count, "errors": []})
