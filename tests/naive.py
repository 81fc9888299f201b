"""Implementations as one would write them in a hurry: each fault test must be seen to fail on these."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from mnistkit.codec import from_json, to_json
from mnistkit.errors import ConflictError, ModelNotFoundError
from mnistkit.files import FileInfo, file_info
from mnistkit.interfaces import ModelRegistry
from mnistkit.local.manifest import Manifest
from mnistkit.models import Assignment, ModelVersion
from mnistkit.runs import utc_now


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
