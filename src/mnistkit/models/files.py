"""Which files of a version are its model, and their bytes, verified."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from mnistkit.errors import ModelError
from mnistkit.models.probe import PROBE_FILE

__all__ = ["FORMATS", "FORMAT_BY_SUFFIX", "MODEL_FILES", "companions", "format_of", "no_loader", "parts"]

MODEL_FILES: Final = {"skops": "model.skops", "joblib": "sklearn_mnist_model.pkl", "linear": "model.linear.json"}
"""The file that `save_model` writes and returns, by format; the second is the tutorial's."""


def parts(file: str) -> tuple[str, ...]:
    """The files that a model consists of, by the one that stands for it."""
    return (file, f"{file.removesuffix('.json')}.npz") if file.endswith(".linear.json") else (file,)


def companions(file: str, files: Iterable[str]) -> list[str]:
    """What belongs to a model file that `save_model` wrote, of the files beside it: the probe, and other parts."""
    folder, _, name = file.rpartition("/")
    if name not in MODEL_FILES.values():
        return []
    wanted = {*parts(name), PROBE_FILE} - {name}
    return [each for each in files if each.rpartition("/")[0] == folder and each.rpartition("/")[2] in wanted]


def no_loader(source: str, format: str) -> ModelError:  # noqa: A002 - the field's word for it
    """The error for files that mnistkit doesn't load."""
    return ModelError(f"{source} has format {format!r}, which is the caller's to load: use registry.download.")


FORMATS: Final = ("skops", "joblib", "linear", "files")
"""How the files of a version are loaded: ``skops`` safely, ``joblib`` by unpickling, ``linear`` as numbers alone,
``files`` by the caller.
"""


FORMAT_BY_SUFFIX: Final = MappingProxyType(
    {".skops": "skops", ".pkl": "joblib", ".joblib": "joblib", ".pickle": "joblib", ".linear.json": "linear"}
)
"""The format of a model file, by the ending of its name."""


def format_of(file: str) -> str:
    """The format of a model file by its name: one of `FORMATS`, ``files`` if it is none of the others."""
    return next((kind for suffix, kind in FORMAT_BY_SUFFIX.items() if file.endswith(suffix)), "files")
