"""On the node: the attempts of a job, each in a process of its own, and the result of each as properties of the run.

The script or the training runs in a child process, so that it can be killed at its timeout, repeated, and its exit code
or signal be recorded. This side needs Python and the SDK alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any

from mnistkit.azureml.node.forwarding import Forwarder, RunWriter
from mnistkit.azureml.node.layout import CODE_FOLDER, ERROR_FILE, JOB_FILE, LIBRARY_FILE, MANIFEST_FILE, RUN_FOLDER
from mnistkit.azureml.properties import PREFIX, pack_text
from mnistkit.runs.folder.attempts import may_retry, outcome_by_exit, outcome_by_timeout
from mnistkit.utils.documents import parse_json, read_text
from mnistkit.utils.interpreter import module_command
from mnistkit.utils.regular import open_file

__all__ = ["main"]

_POLL_SECONDS = 0.1
_TIMEOUT_EXIT_CODE = 124  # as of the command `timeout`
_MAX_ERROR_CHARS = 600


def main(folder: Path, writer: RunWriter | None, attempt: str) -> None:
    """Run the job in ``folder``, and exit with its exit code.

    Args:
        folder: `mnistkit.azureml.node.layout.JOB_FOLDER` on the node.
        writer: To the Azure run; None if there is none.
        attempt: The module that runs one attempt: it calls `mnistkit.azureml.node.attempt.main`.
    """
    spec = parse_json(read_text(folder / JOB_FILE, follow=True), folder / JOB_FILE)
    data_folder = sys.argv[sys.argv.index("--data-folder") + 1] if "--data-folder" in sys.argv else ""
    sys.exit(_Job(folder, spec, data_folder, Forwarder(folder / RUN_FOLDER, writer), attempt).run())


class _Job:
    def __init__(
        self, folder: Path, spec: dict[str, Any], data_folder: str, forwarder: Forwarder, attempt: str
    ) -> None:
        self._folder = folder
        self._spec = spec
        self._data_folder = data_folder
        self._forwarder = forwarder
        self._attempt = attempt

    def run(self) -> int:
        """Run attempts until one succeeds or none is left; return the exit code for Azure."""
        attempts = 0
        while True:
            attempts += 1
            cause, code = self._try_once(attempts)
            if not may_retry(cause, attempts, retries=self._spec["retries"], retry_on=self._spec["retry_on"]):
                self._finish()
                return code
            self._forwarder.finish_attempt()
            self._forwarder.reset_tags(self._spec["tags"])

    def _try_once(self, number: int) -> tuple[str | None, int]:
        self._prepare()
        began = _now()
        code = self._child()
        self._forwarder.forward()
        told = self._outcome(code)
        cause = told["cause"]
        attempt = {"started_at": began, "ended_at": _now(), **told}
        self._forwarder.properties |= pack_text(f"{PREFIX}attempt{number}", json.dumps(attempt))
        return cause, _TIMEOUT_EXIT_CODE if code is None else code if code >= 0 else 128 - code

    def _prepare(self) -> None:
        """Make an empty run folder: files of an earlier attempt aren't the run's."""
        run, outputs = self._folder / RUN_FOLDER, Path("outputs").absolute()
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        for left in outputs.iterdir() if outputs.is_dir() else ():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        outputs.mkdir(exist_ok=True)
        (run / "outputs").symlink_to(outputs, target_is_directory=True)
        self._forwarder.rewind()

    def _child(self) -> int | None:
        """Run an attempt; return its exit code, negative for a signal, or None after a timeout."""
        timeout = self._spec["timeout"]
        deadline = time.monotonic() + timeout if timeout else float("inf")
        sys.stdout.flush()
        process = subprocess.Popen(self._command(), env=self._variables(), stdin=subprocess.DEVNULL)  # noqa: S603 - the purpose
        while True:
            try:
                return process.wait(min(_POLL_SECONDS, max(deadline - time.monotonic(), 0)))
            except subprocess.TimeoutExpired:
                self._forwarder.forward()
            if time.monotonic() >= deadline:
                _kill(process)
                return None

    def _command(self) -> list[str]:
        arguments = (str(self._folder.absolute()), self._data_folder)
        return module_command(self._attempt, *arguments, unbuffered=True)

    def _variables(self) -> dict[str, str]:
        library = str((self._folder / LIBRARY_FILE).absolute())
        code = str((self._folder / CODE_FOLDER).absolute())
        path = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH", ""), code]))
        run = str((self._folder / RUN_FOLDER).absolute())
        return {**os.environ, "PYTHONPATH": path, "MNISTKIT_RUN_FOLDER": run}

    def _outcome(self, code: int | None) -> dict[str, Any]:
        if code is None:
            return outcome_by_timeout(self._spec["timeout"])
        if code == 0:
            return {"cause": None}
        if code > 0:
            path = self._folder / RUN_FOLDER / ERROR_FILE
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError):  # the job could write it, too
                return {"cause": "error", "error": str(parse_json(read_text(path), path)["error"])[:_MAX_ERROR_CHARS]}
        return outcome_by_exit(self._spec["name"], code, place="node")

    def _finish(self) -> None:
        versions = {"python": python_version()}
        for library in self._spec["libraries"]:
            with contextlib.suppress(metadata.PackageNotFoundError):
                versions[library] = metadata.version(library)
        result = {"versions": versions, "points": self._forwarder.points, "manifest": _write_manifest()}
        self._forwarder.properties |= pack_text(f"{PREFIX}result", json.dumps(result))
        self._forwarder.finish_attempt()


def _write_manifest() -> str | None:
    """Write sizes and sha256s of the outputs, to verify downloads by; return its sha256, None without outputs."""
    outputs = Path("outputs")
    files = {
        path.as_posix(): [path.stat().st_size, _sha256(path)]
        for path in sorted(outputs.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    if not files:
        return None
    manifest = Path(MANIFEST_FILE)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps(files, indent=2) + "\n", encoding="utf-8")
    return _sha256(manifest)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open_file(path) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its descendants; not its group, which is this process's too."""
    for pid in [*_descendants(process.pid), process.pid]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()


def _descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, left = [], [pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
