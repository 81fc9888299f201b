"""What a job needs installed, and what is installed here."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from platform import python_version

from attrs import field, frozen

__all__ = ["Environment", "library_versions"]

_LIBRARIES = ("mnistkit", "numpy", "scipy", "scikit-learn", "joblib", "skops")


def library_versions() -> dict[str, str]:
    """The versions of Python and of the libraries that a trained model depends on, by name."""
    return {"python": python_version(), **_installed()}


@cache
def _installed() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _names(variables: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{name!r}: ...' for name in variables)}}}"


@frozen(kw_only=True)
class Environment:
    """What a remote job needs installed. Backends that run on this machine take only `variables` from it.

    Attributes:
        name: For people and for reuse.
        python: The version, such as ``"3.11"``.
        pip: Requirements for pip.
        conda: Requirements for conda.
        variables: Environment variables to set for the job.
    """

    name: str = "mnistkit"
    python: str = ""
    pip: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(factory=dict, repr=_names)  # values may be secrets

    @classmethod
    def current(cls) -> Environment:
        """The versions installed here, pinned."""
        versions = library_versions()
        python = versions.pop("python")
        return cls(python=python, pip=tuple(f"{name}=={version}" for name, version in versions.items()))
