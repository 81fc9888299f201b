"""A deployed scoring script: its folder, as Azure lays it out, and its process."""

from __future__ import annotations

import http.client
import os
import re
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from mnistkit.emulator.jobs.processes import Group, start
from mnistkit.emulator.routing import Refusal, Response

__all__ = ["Serving"]

_SCORING_FILE = Path(__file__).with_name("scoring.py")
_LOG, _READY = "log.txt", "ready"
_POLL_SECONDS = 0.05
_INIT_SECONDS = 600.0
_SCORE_SECONDS = 60.0
_STOP_SECONDS = 2.0
_HIDDEN_VARIABLES_PATTERN = re.compile(r"(AZUREML_|MNISTKIT_).*|(https?|all)_proxy", re.IGNORECASE)


class Serving:
    """A scoring script in a process of its own.

    Args:
        folder: Its folder, which is made; the log and the files of models and scripts are in it.
        changed: Called once, when it can be asked or has failed.

    Attributes:
        app: The script's working folder.
        state: ``Transitioning``, then ``Healthy`` or ``Failed``; and ``Unhealthy`` once it has died.
    """

    def __init__(self, folder: Path, changed: Callable[[], None]) -> None:
        self.app = folder / "app"
        self._folder, self._changed = folder, changed
        self._secret = secrets.token_hex(16)
        self._group: Group | None = None
        self._settled, self._stopping = threading.Event(), threading.Event()
        self._has_failed = False
        self._port = 0
        self.app.mkdir(parents=True)

    def start(self, entry: str, variables: Mapping[str, str]) -> None:
        """Start the process without waiting for it.

        Args:
            entry: The script's path below the working folder.
            variables: What it finds in its environment, beyond what the emulator's own has.

        Raises:
            Refusal: 400: there is no such script.
        """
        script = self.app / entry
        if not entry or not script.is_file() or self.app.resolve() not in script.resolve().parents:
            raise Refusal(400, f"The entry script {entry!r} isn't among the files of the service.")
        own = {name: value for name, value in os.environ.items() if not _HIDDEN_VARIABLES_PATTERN.fullmatch(name)}
        internal = {
            "EMULATOR_ENTRY": str(script),
            "EMULATOR_READY": str(self._folder / _READY),
            "EMULATOR_SECRET": self._secret,
        }
        env = {**own, "PYTHONUNBUFFERED": "1", "AML_APP_ROOT": str(self.app), **variables, **internal}
        self._group = start([sys.executable, str(_SCORING_FILE)], cwd=self.app, env=env, output=self._folder / _LOG)
        threading.Thread(target=self._watch, args=(self._group,), daemon=True).start()

    @property
    def state(self) -> str:
        """Azure's word for its state."""
        if self._has_failed:
            return "Failed"
        if not self._settled.is_set():
            return "Transitioning"
        is_dead = self._group is None or self._group.wait(0) is not None
        return "Unhealthy" if is_dead else "Healthy"

    def settle(self, seconds: float) -> None:
        """Wait for at most so long until it is ready, has failed, or is stopped."""
        self._settled.wait(seconds)

    def score(self, body: bytes) -> Response:
        """Return the script's response.

        Raises:
            Refusal: 502 or 503: it doesn't.
        """
        if self.state != "Healthy":
            raise Refusal(503, f"The service is {self.state}; its logs say why.", code="ServiceUnavailable")
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_SCORE_SECONDS)
        try:
            connection.request("POST", "/score", body, {"X-Emulator-Secret": self._secret})
            answer = connection.getresponse()
            return Response(status=answer.status, body=answer.read(), content_type="application/json")
        except (OSError, http.client.HTTPException) as error:
            raise Refusal(502, f"The scoring script doesn't answer: {error!r}.", code="BadGateway") from None
        finally:
            connection.close()

    def log(self, lines: int) -> str:
        """Return the last lines that it has written."""
        file = self._folder / _LOG
        text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
        return "".join(text.splitlines(keepends=True)[-lines:] if lines else [])

    def stop(self) -> None:
        """End the process and remove the folder; idempotent."""
        self._stopping.set()
        if self._group is not None:
            self._group.stop(_STOP_SECONDS)
        self._settled.set()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _watch(self, group: Group) -> None:
        ready = self._folder / _READY
        waited = 0.0
        while not self._stopping.is_set():
            if ready.exists():
                self._port = int(ready.read_text(encoding="utf-8"))
                break
            if group.wait(_POLL_SECONDS) is not None or waited > _INIT_SECONDS:
                group.stop()
                self._has_failed = True
                break
            waited += _POLL_SECONDS
        if not self._stopping.is_set():
            self._changed()
        self._settled.set()  # who waits for that finds what was noted
