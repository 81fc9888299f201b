"""Operations that take a while, as Azure Resource Manager's clients follow them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.v2.resources import MANAGEMENT_HOST
from mnistkit.emulator.workspace import Workspace

__all__ = ["Operations"]

_BASE_PATH = "/subscriptions/{subscription_}/providers/Microsoft.MachineLearningServices/locations/{location}"
_API_VERSION = "2024-01-01-preview"
_POLL_SECONDS = 1

Progress = Callable[[], tuple[str, str]]
"""Returns the state of an operation, ``InProgress``, ``Succeeded`` or ``Failed``, and the error of a failed one."""


class Operations:
    """The operations of a workspace; they are known as long as the emulator runs."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._progress: dict[str, Progress] = {}

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return (Route("GET", f"{_BASE_PATH}/mfeOperationsStatus/{{operation}}", self._get, host=MANAGEMENT_HOST),)

    def start(self, progress: Progress) -> dict[str, str]:
        """Return the headers by which a client follows an operation."""
        number, mine = str(uuid.uuid4()), self._workspace
        self._progress[number] = progress
        path = _BASE_PATH.format(subscription_=mine.subscription_id, location=mine.location)
        url = f"https://{MANAGEMENT_HOST}{path}/mfeOperationsStatus/{number}?api-version={_API_VERSION}"
        if mine.is_further:  # nothing else in the address leads to it
            url += f"&workspace={mine.name}"
        return {"Azure-AsyncOperation": url, "Retry-After": str(_POLL_SECONDS)}

    def _get(self, request: Request, location: str, operation: str) -> Response:
        progress = self._progress.get(operation)
        if progress is None:
            raise Refusal(404, f"There is no operation {operation!r}.", code="ResourceNotFound")
        status, error = progress()
        found: dict[str, Any] = {"id": operation, "name": operation, "status": status}
        if error:
            found["error"] = {"code": "BadArgument", "message": error}
        headers = {"Retry-After": str(_POLL_SECONDS)} if status == "InProgress" else {}
        return Response.json(found, headers=headers)
