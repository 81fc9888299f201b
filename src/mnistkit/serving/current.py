"""The version that a server serves now: it follows an alias, and takes over a new version when that is ready."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from mnistkit.errors import MnistkitError
from mnistkit.registry.promotion import resolve_model
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelRef
from mnistkit.serving.model import ServedModel, load_served

__all__ = ["CurrentModel"]

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 60.0


class CurrentModel:
    """Holds the served model, and replaces it when the reference points to another version.

    A request takes `model` once and uses only that, so that it is answered by one version from end to end.

    Attributes:
        ref: What is served.
        model: The version that answers now.
        n_switches: How often another version took over.
        n_failures: How often another version could not be taken over; the served one then stays.
        problem: Why the last attempt failed; empty if it didn't.
    """

    def __init__(self, registry: ModelRegistry, ref: str | ModelRef, *, poll_seconds: float, **options: Any) -> None:
        self.ref = ModelRef.parse(ref) if isinstance(ref, str) else ref
        self.n_switches = 0
        self.n_failures = 0
        self.problem = ""
        self._registry = registry
        self._poll_seconds = poll_seconds
        self._options = options
        self._failed = ("", 0.0)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.model: ServedModel = load_served(registry, resolve_model(registry, self.ref), **options)

    def start(self) -> None:
        """Begin to look at the reference every few seconds, unless it names a version, which never changes."""
        if self.ref.version is None:
            self._thread = threading.Thread(target=self._follow, name="mnistkit-alias", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop that; the model stays."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def refresh(self) -> bool:
        """Look at the reference now, and return True if another version took over.

        A version that can't be loaded, or doesn't predict what was recorded with it, changes nothing; it is tried
        again after a minute, or once the reference points elsewhere.
        """
        digest = ""
        try:
            version = resolve_model(self._registry, self.ref)
            digest = version.digest
            if (version.id, digest) == (self.model.version.id, self.model.version.digest):
                self.problem = ""
                return False
            failed, when = self._failed
            if failed == digest and time.monotonic() < when + _RETRY_SECONDS:
                return False
            new = load_served(self._registry, version, **self._options)
        except Exception as error:  # noqa: BLE001 - whatever a registry or a model raises, the served model is still good
            self._note_failure(digest, str(error) if isinstance(error, MnistkitError) else repr(error))
            return False
        _log.info("%s: %s takes over from %s", self.ref, new.version.id, self.model.version.id)
        self.model = new
        self.n_switches += 1
        self.problem = ""
        return True

    def _note_failure(self, digest: str, message: str) -> None:
        self._failed = (digest, time.monotonic())
        self.n_failures += 1
        if message != self.problem:
            self.problem = message
            _log.warning("%s stays, its successor can't be served: %s", self.model.version.id, message)

    def _follow(self) -> None:
        while not self._stopped.wait(self._poll_seconds):
            self.refresh()
