"""What runs on the node: the attempts of a job, each in a process of its own, and what they log, told to Azure.

The script or the training that was submitted runs in a child process, so that it can be ended when its time is over,
repeated, and its end be told: by which exit code, or by which signal. This side needs Python and the SDK alone.
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

from mnistkit.azureml.node.forwarding import Forwarder
from mnistkit.azureml.v1._sdk import JOB_FOLDER

__all__ = ["ERROR_FILE", "JOB_FILE", "JOB_FOLDER", "LIBRARY_FILE", "MANIFEST_FILE", "PROPERTY", "RUN_FOLDER", "main"]

JOB_FILE = "job.json"
LIBRARY_FILE = "mnistkit.zip"
RUN_FOLDER = "run"
ERROR_FILE = "error.json"

MANIFEST_FILE = "logs/mnistkit/manifest.json"
"""The file of a run with the sizes and sha256s of its outputs; its own sha256 is among the run's properties."""

PROPERTY = "mnistkit_"
"""What the names of our properties of a run begin with."""

_PAUSE = 0.1
_LATE = 124  # what `timeout` exits with


def main(folder: Path) -> None:
    """Carry out the job in ``folder``, and exit as it did.

    Args:
        folder: `JOB_FOLDER` on the node.
    """
    spec = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    data_folder = sys.argv[sys.argv.index("--data-folder") + 1] if "--data-folder" in sys.argv else ""
    sys.exit(_Job(folder, spec, data_folder).run())


class _Job:
    def __init__(self, folder: Path, spec: dict[str, Any], data_folder: str) -> None:
        self._folder = folder
        self._spec = spec
        self._data_folder = data_folder
        self._forwarder = Forwarder(folder / RUN_FOLDER)

    def run(self) -> int:
        """Try until it ends well, or may not be tried again; the exit code for Azure."""
        attempts = 0
        while True:
            attempts += 1
            cause, code = self._try_once(attempts)
            if cause not in self._spec["retry_on"] or attempts > self._spec["retries"]:
                self._finish()
                return code
            self._forwarder.tell()
            self._forwarder.forget_tags(self._spec["tags"])

    def _try_once(self, number: int) -> tuple[str | None, int]:
        self._prepare()
        began = _now()
        code = self._child()
        self._forwarder.forward()
        cause, told = self._outcome(code)
        attempt = {"started_at": began, "ended_at": _now(), "cause": cause, **told}
        self._forwarder.properties[f"{PROPERTY}attempt{number}"] = json.dumps(attempt)
        return cause, _LATE if code is None else code if code >= 0 else 128 - code

    def _prepare(self) -> None:
        """Make the run folder anew: what an earlier attempt left isn't the run's."""
        run, outputs = self._folder / RUN_FOLDER, Path("outputs").absolute()
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        for left in outputs.iterdir() if outputs.is_dir() else ():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        outputs.mkdir(exist_ok=True)
        (run / "outputs").symlink_to(outputs, target_is_directory=True)
        self._forwarder.rewind()

    def _child(self) -> int | None:
        """Run an attempt; its exit code, negative for a signal, or None if its time was over."""
        timeout = self._spec["timeout"]
        deadline = time.monotonic() + timeout if timeout else float("inf")
        sys.stdout.flush()
        process = subprocess.Popen(self._command(), env=self._variables(), stdin=subprocess.DEVNULL)  # noqa: S603 - the purpose
        while True:
            try:
                return process.wait(min(_PAUSE, max(deadline - time.monotonic(), 0)))
            except subprocess.TimeoutExpired:
                self._forwarder.forward()
            if time.monotonic() >= deadline:
                _kill(process)
                return None

    def _command(self) -> list[str]:
        command = [sys.executable, "-u", "-m", "mnistkit.azureml.node.attempt", str(self._folder.absolute())]
        return [*command, self._data_folder]

    def _variables(self) -> dict[str, str]:
        library = str((self._folder / LIBRARY_FILE).absolute())
        path = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH", "")]))
        run = str((self._folder / RUN_FOLDER).absolute())
        return {**os.environ, "PYTHONPATH": path, "MNISTKIT_RUN_FOLDER": run}

    def _outcome(self, code: int | None) -> tuple[str | None, dict[str, Any]]:
        name = self._spec["name"]
        if code is None:
            error = f"It was not done after its timeout of {self._spec['timeout']:g} s, and was ended."
            return "timeout", {"error": error}
        if code == 0:
            return None, {}
        if code < 0:
            by = _signal_name(-code)
            guess = " The node was probably out of memory: mnistkit didn't send it." if by == "SIGKILL" else ""
            return "killed", {"error": f"{name} was killed by {by}.{guess}", "signal": by}
        with contextlib.suppress(OSError, ValueError):
            told = json.loads((self._folder / RUN_FOLDER / ERROR_FILE).read_text(encoding="utf-8"))
            return "error", {"error": str(told["error"])[:600]}
        return "error", {"error": f"{name} exited with code {code}.", "exit_code": code}

    def _finish(self) -> None:
        versions = {"python": python_version()}
        for library in self._spec["libraries"]:
            with contextlib.suppress(metadata.PackageNotFoundError):
                versions[library] = metadata.version(library)
        result = {"versions": versions, "points": self._forwarder.points, "manifest": _write_manifest()}
        self._forwarder.properties[f"{PROPERTY}result"] = json.dumps(result)
        self._forwarder.tell()


def _write_manifest() -> str | None:
    """Note what the outputs are, so that a download can be verified; its sha256, or None if there are none."""
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
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started; the group stays, it is this process's too."""
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


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
