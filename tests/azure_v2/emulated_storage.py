"""What the emulator keeps, reached past its services, to be damaged as no client can."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator


def stored_files(emulator: AzureMLEmulator, content: bytes) -> list[Path]:
    """Return the files with that content in the emulator's storage, the oldest first."""
    files = (path for path in (emulator._folder / "workspace").rglob("*") if path.is_file())
    found = [path for path in files if path.stat().st_size == len(content) and path.read_bytes() == content]
    once = {path.stat().st_ino: path for path in found}  # some have several names
    return sorted(once.values(), key=lambda path: path.stat().st_mtime_ns)


@contextlib.contextmanager
def changed_record(emulator: AzureMLEmulator, model: str) -> Iterator[dict[str, Any]]:
    """Yield what the emulator keeps of a model, to be changed in the block."""
    from mnistkit.emulator.services.models import Models

    services = (getattr(route.handler, "__self__", None) for route in emulator._open.router.routes)
    models = next(service for service in services if isinstance(service, Models))
    with models._models.change(model) as record:
        yield record
