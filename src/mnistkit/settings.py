"""Where things are kept and what the environment says: ``MNISTKIT_*`` and the user's folders."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from mnistkit.errors import ConfigError
from mnistkit.utils.files import ensure_folder

__all__ = ["cache_folder", "default_compute", "home_folder", "is_offline", "mirror", "verify_keys"]


def home_folder(home: str | os.PathLike[str] | None = None) -> Path:
    """The folder for runs and models: ``home``, else ``MNISTKIT_HOME``, else ``./.mnistkit``. Absolute; not created."""
    return Path(home or os.environ.get("MNISTKIT_HOME") or ".mnistkit").expanduser().absolute()


def cache_folder() -> Path:
    """The folder for downloads: ``MNISTKIT_CACHE``, else the user's cache folder. Created if need be.

    It may be read-only: a cache that has everything serves from such storage too.

    Raises:
        StorageError: It can't be created.
    """
    folder = os.environ.get("MNISTKIT_CACHE") or platformdirs.user_cache_dir("mnistkit", appauthor=False)
    return ensure_folder(Path(folder).expanduser().absolute(), "MNISTKIT_CACHE", writable=False)


def default_compute() -> str:
    """The compute backend where nothing else is said: ``MNISTKIT_COMPUTE``, else ``"process"`` where there is fork."""
    return os.environ.get("MNISTKIT_COMPUTE") or ("process" if hasattr(os, "fork") else "in-process")


def is_offline() -> bool:
    """Whether ``MNISTKIT_OFFLINE`` forbids the network.

    Raises:
        ConfigError: It is set to something else than yes or no.
    """
    value = os.environ.get("MNISTKIT_OFFLINE", "").strip().lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"", "0", "false", "no", "off"}:
        return False
    raise ConfigError(f"MNISTKIT_OFFLINE is {value!r}: set it to 1 to forbid the network, or to 0.")


def mirror() -> str | None:
    """The mirror to try first, ``MNISTKIT_MIRROR``, without a trailing slash; None if unset.

    Raises:
        ConfigError: It isn't an http or https URL.
    """
    value = os.environ.get("MNISTKIT_MIRROR", "").strip().rstrip("/")
    if not value:
        return None
    if not value.startswith(("https://", "http://")):
        raise ConfigError(
            f"MNISTKIT_MIRROR is {value!r}: set it to an http or https URL, such as https://mirror.example/datasets."
        )
    return value


def verify_keys() -> tuple[Path, ...]:
    """The files of ``MNISTKIT_VERIFY_KEY``, separated as in ``PATH``: one of these keys must have signed a model.

    Empty if it isn't set.
    """
    return tuple(Path(file) for file in os.environ.get("MNISTKIT_VERIFY_KEY", "").split(os.pathsep) if file)
