"""Configuration: ``mnistkit.toml``, ``[tool.mnistkit]`` in ``pyproject.toml``, and the environment variables."""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import platformdirs
from attrs import field, fields, frozen

from mnistkit.errors import ConfigError, DataFormatError
from mnistkit.utils.arguments import check_path
from mnistkit.utils.documents import parse_toml, read_text
from mnistkit.utils.files import ensure_folder
from mnistkit.utils.regular import read_regular

__all__ = [
    "PINS_VARIABLE",
    "Config",
    "cache_folder",
    "default_compute",
    "find_config",
    "home_folder",
    "is_offline",
    "mirror",
    "open_datasets_pins",
    "read_config",
    "verify_keys",
]

PINS_VARIABLE = "MNISTKIT_OPEN_DATASETS_PINS"
"""The environment variable that names a ``dataset.json`` with other pins than MNIST's for Azure's Open Dataset."""


_log = logging.getLogger(__name__)
_MAX_FILE_BYTES = 1 << 20
_NOT_IN_FILES = frozenset({"file", "data_options"})
_PATH_OPTIONS = frozenset({"config", "tls_ca_file", "tls_client_cert", "tls_client_key"})
"""Options of backends that name a file or folder: Azure's ``config.json``, and the certificates of a Dask cluster."""
_PATH_SCHEMES = ("idx:", "sqlite:///")
"""What an address begins with that names a file or folder."""


@frozen(kw_only=True)
class Config:
    """A project's defaults.

    Attributes:
        data: The dataset's uri, or a `mnistkit.DataSource`; in files a uri.
        data_options: Options of the data source, such as the workspace that it is in; not in files.
        experiment: The experiment that groups the runs.
        home: The folder for runs and models; None for ``MNISTKIT_HOME``, else ``./.mnistkit``.
        model: The name to register models under; None to name them after the dataset, such as ``sklearn_mnist``.
        compute: ``backend`` and its options; the default is ``MNISTKIT_COMPUTE``, else ``"process"``.
        models: ``backend`` and its options.
        track: The address of an MLflow server or database file that runs are mirrored to; None for none.
        file: Where this was read from; None for the built-in defaults.
    """

    data: Any = "mnist"
    data_options: Mapping[str, Any] = field(factory=dict)
    experiment: str = "sklearn-mnist"
    home: str | None = None
    model: str | None = None
    compute: Mapping[str, Any] = field(factory=lambda: {"backend": default_compute()})
    models: Mapping[str, Any] = field(factory=lambda: {"backend": "folder"})
    track: str | None = None
    file: Path | None = None

    @classmethod
    def local(
        cls,
        *,
        data: Any = "mnist",
        experiment: str = "sklearn-mnist",
        home: str | os.PathLike[str] | None = None,
        parallel: int | None = None,
    ) -> Config:
        """Return the configuration to run everything on this machine, whatever the files say.

        Args:
            data: The dataset's uri, or a `mnistkit.DataSource`.
            experiment: The experiment that groups the runs.
            home: The folder for runs and models; None for ``MNISTKIT_HOME``, else ``./.mnistkit``.
            parallel: The number of runs at a time; None for one per core.
        """
        options = {} if parallel is None else {"parallel": parallel}
        compute = {"backend": default_compute(), **options}
        return cls(data=data, experiment=experiment, home=str(home_folder(home)), compute=compute)

    @classmethod
    def azure(
        cls,
        *,
        data: Any = "azureml:mnist_opendataset",
        experiment: str = "sklearn-mnist",
        workspace: Any = None,
        config: str | os.PathLike[str] | None = None,
        sdk: Literal["v1", "v2"] | None = None,
        **cluster: Any,
    ) -> Config:
        """Return the configuration to run on a cluster of an Azure Machine Learning workspace, with the models in it.

        Args:
            data: The dataset's uri, or a `mnistkit.DataSource`.
            experiment: The experiment that groups the runs.
            workspace: A workspace from `mnistkit.azureml.connect`; None for the one that ``config.json`` names.
            config: That file, or the folder to look for it from upwards; None for the working directory.
            sdk: The version of Azure ML's SDK; None for that of ``workspace``, else v2 where it is installed, else v1.
            cluster: Options of `mnistkit.azureml.AmlCompute`, such as ``name``, ``vm_size`` and ``max_nodes``.
        """
        place = {} if workspace is None else {"workspace": workspace}
        place |= {} if config is None else {"config": os.fspath(config)}
        place |= {} if sdk is None else {"sdk": sdk}
        return cls(
            data=data,
            data_options=place if str(data).startswith("azureml:") else {},
            experiment=experiment,
            compute={"backend": "azureml", **place, **cluster},
            models={"backend": "azureml", **place},
        )

    @property
    def source_options(self) -> Mapping[str, Any]:
        """The options of the data source: Azure's data is read with the SDK that runs the jobs."""
        sdk = self.compute.get("sdk")
        is_azure = isinstance(self.data, str) and self.data.startswith("azureml:")
        return {**({"sdk": sdk} if sdk and is_azure else {}), **self.data_options}


def find_config(start: Path | None = None) -> Config:
    """Return the nearest ``mnistkit.toml`` or ``pyproject.toml`` with ``[tool.mnistkit]``, from ``start`` upwards.

    Raises:
        ConfigError: It can't be understood.
    """
    start = (start or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        if (file := folder / "mnistkit.toml").is_file():
            return read_config(file)
        if (file := folder / "pyproject.toml").is_file() and _is_ours(file):
            return read_config(file)
    return Config()


def read_config(file: Path) -> Config:
    """Read one file. Its relative paths are relative to it; ``MNISTKIT_HOME`` wins over its ``home``.

    Raises:
        ConfigError: It is no TOML, or has an unknown key or a value of the wrong type; names file, line and key.
    """
    text = _text(file)
    table = _table(file, text)
    kinds: dict[str, type] = {each.name: str for each in fields(Config) if each.name not in _NOT_IN_FILES}
    kinds |= {"compute": dict, "models": dict}
    for key, value in table.items():
        if key not in kinds:
            raise ConfigError(f"{_place(file, text, key)}: unknown key {key!r}; the keys are {', '.join(kinds)}.")
        if not isinstance(value, kinds[key]):
            expected = "text" if kinds[key] is str else 'a table such as { backend = "..." }'
            raise ConfigError(f"{_place(file, text, key)}: {key!r} must be {expected}, got {value!r:.80}.")
        if isinstance(value, dict) and not isinstance(value.get("backend"), str):
            raise ConfigError(f'{_place(file, text, key)}: {key!r} lacks a backend, as in {{ backend = "..." }}.')
    if os.environ.get("MNISTKIT_HOME"):
        table.pop("home", None)
    elif "home" in table:
        table["home"] = str(file.parent / _expanded(table["home"], f"{_place(file, text, 'home')}: home"))
    return Config(**{key: _from_file(file, key, value) for key, value in table.items()}, file=file)


def _from_file(file: Path, key: str, value: Any) -> Any:
    """Return a value with its relative paths joined to the file's folder: commands are run in other folders too."""
    if isinstance(value, dict):
        return {name: _from_file(file, name, each) for name, each in value.items()}
    if not isinstance(value, str):
        return value
    scheme = next((scheme for scheme in _PATH_SCHEMES if value.startswith(scheme)), "")
    path = value.removeprefix(scheme)
    if not path.strip() or "\n" in path or not (scheme or key in _PATH_OPTIONS):  # a certificate may be there itself
        return value
    return f"{scheme}{file.parent.absolute() / path}" if not path.startswith("~") else value


def _is_ours(file: Path) -> bool:
    """Return True if a ``pyproject.toml``, which may be any project's, has a table of mnistkit's."""
    try:
        return b"[tool.mnistkit" in read_regular(file, _MAX_FILE_BYTES, follow=True)
    except OSError:
        return False


def _table(file: Path, text: str) -> dict[str, Any]:
    """Return what a file sets: all of it, or mnistkit's table in a ``pyproject.toml``."""
    try:
        table: Any = parse_toml(text, file)
    except DataFormatError as error:
        raise ConfigError(str(error)) from error
    for name in ("tool", "mnistkit") if file.name == "pyproject.toml" else ():
        table = table.get(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{_place(file, text, name)}: {name!r} must be a table.")
    return dict(table)


def _expanded(folder: str | os.PathLike[str], what: str) -> Path:
    """Return a folder with ``~`` replaced by the home it stands for."""
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:  # no such user, or one without a home
        raise ConfigError(f"{what} is {os.fspath(folder)!r}: {error} Write the folder without '~'.") from error


def _text(file: Path) -> str:
    try:
        return read_text(file, max_bytes=_MAX_FILE_BYTES, follow=True)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}.") from error
    except DataFormatError as error:
        raise ConfigError(str(error)) from error


def _place(file: Path, text: str, key: str) -> str:
    pattern = re.compile(rf"\s*(?:\[(?:tool\.mnistkit\.)?)?[\"']?{re.escape(key)}[\"']?\s*(?:[=.\]])")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return f"{file}, line {number}"
    return str(file)


def home_folder(home: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder for runs and models: ``home``, ``MNISTKIT_HOME`` or ``./.mnistkit``. Absolute; not created."""
    if home is not None:
        check_path(home, "home")
    given = None if home is None else os.fspath(home)
    return _expanded(given or os.environ.get("MNISTKIT_HOME") or ".mnistkit", "The home of mnistkit").absolute()


def cache_folder() -> Path:
    """Return the folder for downloads: ``MNISTKIT_CACHE``, else the user's cache folder. Created if need be.

    A user without a home folder, such as a service's, has it in `home_folder`, and a warning in the log says so. It may
    be read-only: a complete cache works on read-only storage too.

    Raises:
        StorageError: It can't be created.
    """
    folder = os.environ.get("MNISTKIT_CACHE")
    path = _expanded(folder, "MNISTKIT_CACHE").absolute() if folder else _default_cache()
    return ensure_folder(path, "MNISTKIT_CACHE", writable=False)


def _default_cache() -> Path:
    """Return the user's cache folder."""
    try:
        folder = Path(platformdirs.user_cache_dir("mnistkit", appauthor=False))
    except RuntimeError:  # neither HOME nor an entry among the system's users
        folder = Path("~")
    if folder.is_absolute():  # some releases of platformdirs return ~/.cache as it is
        return folder
    instead = home_folder() / "cache"
    _warn_of_no_home(instead)
    return instead


@functools.cache
def _warn_of_no_home(folder: Path) -> None:
    """Say once where datasets are kept."""
    _log.warning("The user has no home folder: datasets are kept in %s. Set MNISTKIT_CACHE to move them.", folder)


def default_compute() -> str:
    """Return the default compute backend: ``MNISTKIT_COMPUTE``, else ``"process"`` on systems with fork."""
    return os.environ.get("MNISTKIT_COMPUTE") or ("process" if hasattr(os, "fork") else "in-process")


def is_offline() -> bool:
    """Return True if ``MNISTKIT_OFFLINE`` forbids the network.

    Raises:
        ConfigError: It is set to anything but yes or no.
    """
    value = os.environ.get("MNISTKIT_OFFLINE", "").strip().lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"", "0", "false", "no", "off"}:
        return False
    raise ConfigError(f"MNISTKIT_OFFLINE is {value!r}: set it to 1 to forbid the network, or to 0.")


def mirror() -> str | None:
    """Return the mirror to try first, ``MNISTKIT_MIRROR``, without a trailing slash; None if unset.

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


def open_datasets_pins() -> Path | None:
    """Return the file that ``MNISTKIT_OPEN_DATASETS_PINS`` names, None if it is unset or empty."""
    value = os.environ.get(PINS_VARIABLE, "").strip()
    return _expanded(value, PINS_VARIABLE).absolute() if value else None


def verify_keys() -> tuple[Path, ...]:
    """Return the files of ``MNISTKIT_VERIFY_KEY``, separated as in ``PATH``: a model must be signed by one of the keys.

    Empty if it isn't set.
    """
    return tuple(Path(file) for file in os.environ.get("MNISTKIT_VERIFY_KEY", "").split(os.pathsep) if file)
