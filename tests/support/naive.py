"""Implementations as one would write them in a hurry: each fault test must be seen to fail on these."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from attrs import evolve

from mnistkit.data.dataset import Dataset
from mnistkit.data.idx import encode_idx
from mnistkit.errors import ConflictError, ModelNotFoundError
from mnistkit.interfaces import ComputeBackend, DataSource, ModelRegistry
from mnistkit.jobs.job import Job, ScriptJob
from mnistkit.registry.manifest import Manifest
from mnistkit.registry.version import Assignment, ModelVersion
from mnistkit.runs.context import FolderContext
from mnistkit.runs.record import RunRecord, RunState, Transition
from mnistkit.training import train
from mnistkit.utils.clock import utc_now
from mnistkit.utils.files import FileInfo, file_info
from mnistkit.utils.serialization import from_json, to_json


class NaiveRegistry(ModelRegistry):
    """Looks for the highest number, makes the folder of the next, and writes into it: no staging, no check, no sync."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def register(
        self,
        name: str,
        files: Path,
        *,
        format: str,  # noqa: A002 - the field's word for it
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        run_id: str | None = None,
    ) -> ModelVersion:
        """Write straight into the next number's folder."""
        number = max(self._numbers(name), default=0) + 1
        folder = self.root / name / str(number)
        infos: dict[str, FileInfo] = {}
        manifest = Manifest(
            name=name, format=format, files=infos, metrics=metrics, tags=tags, description=description, run_id=run_id
        )
        folder.mkdir(parents=True, exist_ok=True)
        for path in filter(Path.is_file, Path(files).rglob("*")):
            infos[path.relative_to(files).as_posix()] = file_info(path)
        (folder / "manifest.json").write_bytes(to_json(manifest))
        shutil.copytree(files, folder, dirs_exist_ok=True)
        return self.get(name, number)

    def get(self, name: str, version: int | None = None) -> ModelVersion:
        """Whatever the manifest says."""
        number = version or max(self._numbers(name), default=0)
        path = self.root / name / str(number) / "manifest.json"
        if not path.exists():
            raise ModelNotFoundError(f"no {name}:{number}")
        data = path.read_bytes()
        manifest: Manifest = from_json(data, Manifest, path)
        return manifest.as_version(number, data, str(path.parent))

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """All folders."""
        return tuple(self.get(name, number) for number in sorted(self._numbers(name), reverse=True))

    def names(self) -> tuple[str, ...]:
        """All folders."""
        return tuple(sorted(path.name for path in self.root.iterdir())) if self.root.exists() else ()

    def download(self, model: ModelVersion, into: Path) -> Path:
        """Copy whatever is there."""
        source = self.root / model.name / str(model.version)
        return Path(shutil.copytree(source, into, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json")))

    def delete(self, name: str, version: int) -> None:
        """Remove the folder."""
        shutil.rmtree(self.root / name / str(version))

    def assign(
        self, name: str, alias: str, version: int, *, reason: str = "", seen: Sequence[Assignment] | None = None
    ) -> None:
        """Read, look whether it is what was seen, append, write."""
        if seen is not None and list(seen) != list(self.aliases(name).get(alias, ())):
            raise ConflictError("somebody else was here")
        history = [
            *self.aliases(name).get(alias, ()),
            Assignment(alias=alias, version=version, assigned_at=utc_now(), reason=reason),
        ]
        (self.root / name / f"{alias}.json").write_bytes(to_json(history, list[Assignment]))

    def aliases(self, name: str) -> Mapping[str, tuple[Assignment, ...]]:
        """Read the files."""
        paths = (self.root / name).glob("*.json")
        return {path.stem: tuple(from_json(path.read_bytes(), list[Assignment], path)) for path in paths}

    def _numbers(self, name: str) -> list[int]:
        folder = self.root / name
        return [int(path.name) for path in folder.iterdir() if path.is_dir()] if folder.exists() else []


class NaiveSource(DataSource):
    """Writes the files under their final names, as slowly as they come, and takes what is there for good."""

    @property
    def uri(self) -> str:
        """A text that Python makes up anew in each process."""
        return f"naive:{hash('naive')}"

    def fetch(self, into: Path) -> Path:
        """Write what isn't there."""
        if not into.exists():
            into.mkdir(parents=True)
            for part in ("train", "t10k"):
                images, labels = np.ones((50, 8, 8), np.uint8), np.arange(50, dtype=np.uint8) % 10
                _write_slowly(into / f"{part}-images-idx3-ubyte", encode_idx(images))
                _write_slowly(into / f"{part}-labels-idx1-ubyte", encode_idx(labels))
        return into

    def digests(self) -> Mapping[str, str]:
        """What is on the disk of whoever asks."""
        return {"now": str(time.time())}


def _write_slowly(path: Path, data: bytes) -> None:
    with path.open("wb", buffering=0) as stream:
        for start in range(0, len(data), 1000):
            stream.write(data[start : start + 1000])
            time.sleep(0.02)


class NaiveCompute(ComputeBackend):
    """Keeps records in memory, runs each job on a thread, and hopes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.records: dict[str, RunRecord] = {}

    def submit(self, job: Job, data: DataSource, *, detach: bool = False) -> RunRecord:
        """Start it."""
        record = RunRecord(id=uuid.uuid4().hex, job=job, data=data.uri, transitions=(), tags=job.tags)
        self.records[record.id] = record
        self._advance(record.id, RunState.QUEUED)
        threading.Thread(target=self._run, args=(record.id, data), daemon=True).start()
        return self.records[record.id]

    def get(self, run_id: str) -> RunRecord:
        """What is in the dictionary."""
        return self.records[run_id]

    def runs(self, experiment: str | None = None) -> tuple[RunRecord, ...]:
        """What is in the dictionary, as it comes."""
        return tuple(r for r in self.records.values() if experiment in {None, r.experiment})

    def cancel(self, run_id: str) -> None:
        """Say so."""
        self._advance(run_id, RunState.CANCELED)

    def logs(self, run_id: str, *, start: int = 0) -> str:
        """All of it."""
        path = self.root / run_id / "log.txt"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def download(self, run_id: str, file: str, into: Path) -> Path:
        """Copy whatever the name leads to."""
        into.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(self.root / run_id / file, into))

    def _run(self, run_id: str, data: DataSource) -> None:
        job, folder = self.records[run_id].job, self.root / run_id
        (folder / "outputs").mkdir(parents=True)
        try:
            found = data.fetch(self.root / "data")
            self._advance(run_id, RunState.RUNNING)
            if isinstance(job, ScriptJob):
                script = Path(job.source_directory) / job.entry_script
                log = subprocess.run(
                    [sys.executable, script, *job.arguments], stdout=subprocess.PIPE, check=True
                ).stdout
                (folder / "log.txt").write_bytes(log)
            else:
                train(job, Dataset.from_folder(found), FolderContext(folder))
        except Exception as error:  # noqa: BLE001 - it failed
            self.records[run_id] = evolve(self.records[run_id], error=type(error).__name__)
            self._advance(run_id, RunState.FAILED)
        else:
            self._advance(run_id, RunState.COMPLETED)

    def _advance(self, run_id: str, state: RunState) -> None:
        record = self.records[run_id]
        self.records[run_id] = evolve(record, transitions=(*record.transitions, Transition(state, utc_now())))
