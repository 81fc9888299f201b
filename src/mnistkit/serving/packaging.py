"""Writing a registered model as a folder that serves it where mnistkit isn't installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from platform import python_version
from string import Template
from typing import Final

import mnistkit
from mnistkit.errors import UsageError
from mnistkit.registry.files import all_or_nothing
from mnistkit.registry.loading import load_model
from mnistkit.registry.promotion import resolve_model
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelRef, ModelVersion
from mnistkit.serving.package import MODEL_FOLDER, VERSION_FILE
from mnistkit.utils.serialization import to_json

__all__ = ["PACKAGE_REQUIREMENTS", "package_model"]

PACKAGE_REQUIREMENTS: Final = (
    "attrs", "cattrs", "flask", "joblib", "lazy-loader", "markupsafe", "numpy", "pillow", "platformdirs", "psutil",
    "scikit-learn", "scipy", "skops", "tomli", "urllib3", "waitress",
)  # fmt: skip
"""What a package installs: the requirements of mnistkit's core and of serving."""

_TEMPLATES = ("score.py", "serve.py", "Dockerfile", "README.md", "conda.yaml")
_UNUSED_ROOMS = ("__pycache__", "*.pyc", "azureml", "cli", "emulator", "plots", "reports", "sweeps", "testing")


def package_model(
    registry: ModelRegistry,
    ref: str | ModelRef | ModelVersion,
    into: str | os.PathLike[str],
    *,
    allow_pickle: bool = False,
    trusted: Iterable[str] = (),
    verify_key: str | os.PathLike[str] | None = None,
) -> Path:
    """Write a version, and all that serves it, into a new folder, and return that.

    The folder has the model's files, the parts of mnistkit that load and serve it, ``score.py`` with Azure's ``init``
    and ``run``, ``serve.py``, ``requirements.txt`` and ``conda.yaml`` with the releases that are installed here, a
    ``Dockerfile`` and a ``README.md``. The model is loaded once before, so that one that can't be is no package.

    Args:
        registry: Where the model is.
        ref: As for `mnistkit.load_model`.
        into: The folder; it must not exist, or be empty.
        allow_pickle: As in `mnistkit.load_model`; the scripts of the package then load joblib files, too.
        trusted: As there, by name.
        verify_key: As there; checked now, not where the package is served.

    Raises:
        UsageError: The folder isn't empty.
        MnistkitError: As `mnistkit.load_model`.
        StorageError: The folder can't be written. Nothing is left.
    """
    folder = Path(into)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} isn't an empty folder: name a new one.")
    version = ref if isinstance(ref, ModelVersion) else resolve_model(registry, ref)
    types = tuple(trusted)
    load_model(registry, version, allow_pickle=allow_pickle, trusted=types, verify_key=verify_key)
    with all_or_nothing(folder, f"the package of {version.id}") as partial:
        registry.download(version, partial / MODEL_FOLDER)
        (partial / VERSION_FILE).write_bytes(to_json(version))
        source = Path(mnistkit.__file__).parent
        shutil.copytree(source, partial / "mnistkit", ignore=shutil.ignore_patterns(*_UNUSED_ROOMS))
        requirements = _requirements()
        (partial / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
        values = {
            "model": version.id,
            "name": version.name,
            "digest": version.digest,
            "python": ".".join(python_version().split(".")[:2]),
            "options": f"allow_pickle={allow_pickle is True}, trusted={types!r}",
            "pip": "\n".join(f"      - {requirement}" for requirement in requirements),
        }
        for name in _TEMPLATES:
            text = (
                files("mnistkit.serving").joinpath("package_files").joinpath(f"{name}.txt").read_text(encoding="utf-8")
            )
            (partial / name).write_text(Template(text).substitute(values), encoding="utf-8")
    return folder


def _requirements() -> list[str]:
    """Return what the package needs, each as it is installed here; what isn't is left to the installer."""
    found = []
    for name in PACKAGE_REQUIREMENTS:
        if name == "tomli" and sys.version_info >= (3, 11):
            continue
        pinned = name
        with contextlib.suppress(metadata.PackageNotFoundError):
            pinned = f"{name}=={metadata.version(name).partition('+')[0]}"
        found.append(pinned)
    return found
