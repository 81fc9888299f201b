"""The processes behind online deployments."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnistkit.emulator.routing import Refusal, Response
from mnistkit.emulator.services.model_records import ModelRecords
from mnistkit.emulator.serving import Serving
from mnistkit.emulator.v2.deployments import check_deployment, fill
from mnistkit.emulator.v2.places import Places

__all__ = ["ScoringProcesses"]

_SETTLE_SECONDS = 5.0
_ERROR_LINES = 20
_STOPPED_MESSAGE = "The emulator was stopped: deploy it again."


class ScoringProcesses:
    """A process for each deployment, by a key; they don't outlive the emulator.

    Args:
        folder: For their files.
        models: Where models are looked up.
        places: Finds files.
    """

    def __init__(self, folder: Path, models: ModelRecords, places: Places) -> None:
        self._folder, self._models, self._places = folder, models, places
        self._running: dict[str, Serving] = {}
        self._lock = threading.Lock()

    def deploy(self, key: str, properties: Mapping[str, Any]) -> None:
        """Start what a deployment describes, then end what it ran before.

        Raises:
            Refusal: 400: it can't be deployed here; 404: its model or code isn't there.
        """
        check_deployment(properties)
        serving = Serving(self._folder / uuid.uuid4().hex, _do_nothing)
        try:
            entry, variables = fill(serving.app, properties, self._models, self._places)
            serving.start(entry, variables)
        except BaseException:
            serving.stop()
            raise
        with self._lock:
            before = self._running.get(key)
            self._running[key] = serving
        if before is not None:
            before.stop()

    def progress(self, key: str, *, is_patient: bool = False) -> tuple[str, str]:
        """Return the state of a deployment, ``InProgress``, ``Succeeded`` or ``Failed``, and its error.

        Args:
            key: The deployment's.
            is_patient: Wait some seconds for it to be ready.
        """
        serving = self._running.get(key)
        if serving is None:
            return "Failed", _STOPPED_MESSAGE
        if is_patient:
            serving.settle(_SETTLE_SECONDS)
        if serving.state == "Failed":
            why = "The scoring script failed before it could be called: its import or init() ended."
            return "Failed", f"{why} The last lines of its log:\n{serving.log(_ERROR_LINES)}"
        return ("InProgress" if serving.state == "Transitioning" else "Succeeded"), ""

    def score(self, key: str, body: bytes) -> Response:
        """Return the response of a deployment's script.

        Raises:
            Refusal: 502 or 503: it gives none.
        """
        serving = self._running.get(key)
        if serving is None:
            raise Refusal(503, _STOPPED_MESSAGE, code="ServiceUnavailable")
        return serving.score(body)

    def log(self, key: str, lines: int) -> str:
        """Return the last lines that a deployment's script has written."""
        serving = self._running.get(key)
        return serving.log(lines) if serving else _STOPPED_MESSAGE

    def end(self, key: str) -> None:
        """End a deployment's process; idempotent."""
        with self._lock:
            serving = self._running.pop(key, None)
        if serving is not None:
            serving.stop()

    def stop(self) -> None:
        """End all processes; idempotent."""
        for key in list(self._running):
            self.end(key)


def _do_nothing() -> None:
    """Take no note of a change: the state is read when it is wanted."""
