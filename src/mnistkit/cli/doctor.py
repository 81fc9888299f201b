"""``mnistkit doctor``: what is installed, where things are, and whether they work."""

from __future__ import annotations

import importlib
import importlib.util
import os
import urllib.parse
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import asdict, frozen

from mnistkit.cli import output
from mnistkit.cli.command import JsonOption, examples, failing
from mnistkit.errors import ConfigError, MnistkitError, StorageError

if TYPE_CHECKING:  # loads numpy
    from mnistkit.trainer.trainer import Trainer

__all__ = ["EXAMPLES", "doctor"]

EXAMPLES = examples("mnistkit doctor", "mnistkit doctor --json")

_EXTRAS = {  # what each imports; azure and azure-v1 have checks of their own
    "cli": ("typer", "rich", "PIL"),
    "plot": ("matplotlib",),
    "fast": ("isal", "blake3"),
    "optuna": ("optuna",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic", "pandas"),
    "parquet": ("pyarrow",),
    "onnx": ("skl2onnx", "onnxruntime"),
    "serve": ("flask", "waitress"),
    "ui": ("flask", "waitress"),
    "dask": ("distributed",),
    "sign": ("cryptography",),
    "emulator": ("certifi", "cryptography", "h11", "jwt"),
}
_LIBRARIES = ("numpy", "scipy", "sklearn", "joblib", "skops", "attrs", "cattrs", "platformdirs", "psutil", "urllib3")

_CONNECTION = {"config": "config", "workspace": "name"} | {
    name: name for name in ("sdk", "resource_group", "subscription_id", "credentials")
}


@frozen
class Finding:
    """The finding of one check.

    Attributes:
        check: What was checked.
        ok: False if something is broken.
        detail: What there is, or what is wrong and what helps.
    """

    check: str
    ok: bool
    detail: str


def doctor(*, as_json: JsonOption = False) -> None:
    """Check the installation: libraries, folders, settings, datasets, Azure and Dask if used, runs and models.

    Exit code 1 if something is broken.
    """
    findings: list[Finding] = []
    for finding in (finding for check in _CHECKS for finding in _look(check)):
        findings.append(_shorter(finding, findings))
    broken = [finding.check for finding in findings if not finding.ok]
    with failing(bool(broken)):
        if as_json:
            output.print_json([asdict(finding) for finding in findings])
        else:
            for finding in findings:
                mark = "ok " if finding.ok else "BAD"
                output.say(f"{mark}  {finding.check + ':':<15} {finding.detail}", "" if finding.ok else "bold red")
        if broken:
            output.complain(f"Something is broken: {', '.join(broken)}.")


def _look(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except (MnistkitError, OSError) as error:
        return [Finding(check.__name__.strip("_"), ok=False, detail=str(error))]


def _shorter(finding: Finding, earlier: list[Finding]) -> Finding:
    """Return a finding for a check that an earlier problem prevents."""
    same = next((each.check for each in earlier if not each.ok and each.detail == finding.detail), None)
    return finding if same is None else Finding(finding.check, finding.ok, f"unknown, as {same} is broken")


def _versions() -> list[Finding]:
    from mnistkit.jobs.environment import library_versions

    findings = [Finding("versions", ok=True, detail=", ".join(f"{k} {v}" for k, v in library_versions().items()))]
    for name in _LIBRARIES:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - a broken library may raise anything
            findings.append(Finding(name, ok=False, detail=f"can't be imported: {type(error).__name__}: {error}"))
    return findings


def _extras() -> list[Finding]:
    return [_extra(name, modules) for name, modules in _EXTRAS.items()]


def _extra(name: str, modules: tuple[str, ...]) -> Finding:
    missing = [module for module in modules if not _is_installed(module)]
    if missing:
        detail = f"not installed ({', '.join(missing)}): python -m pip install 'mnistkit[{name}]'"
        return Finding(f"extra {name}", ok=True, detail=detail)
    packages = [{"PIL": "pillow", "jwt": "pyjwt", "mlflow": "mlflow-skinny"}.get(module, module) for module in modules]
    return Finding(f"extra {name}", ok=True, detail=", ".join(f"{each} {metadata.version(each)}" for each in packages))


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it is in
        return False


def _settings() -> list[Finding]:
    from mnistkit.config import find_config, home_folder

    config = find_config()
    home = home_folder(config.home)
    return [
        Finding("settings", ok=True, detail=str(config.file or "no mnistkit.toml: the defaults")),
        _writable("home", home, "MNISTKIT_HOME"),
    ]


def _cache() -> list[Finding]:
    from mnistkit.cli.data import cached_datasets
    from mnistkit.config import cache_folder

    folder = cache_folder()
    names = ", ".join(cached_datasets()) or "none yet"
    return [_writable("cache", folder, "MNISTKIT_CACHE"), Finding("datasets", ok=True, detail=f"in the cache: {names}")]


def _network() -> list[Finding]:
    from mnistkit.config import is_offline, mirror

    where = "forbidden by MNISTKIT_OFFLINE" if is_offline() else "allowed"
    return [
        Finding("network", ok=True, detail=f"{where}; MNISTKIT_MIRROR is {_without_password(mirror()) or 'not set'}")
    ]


def _runs() -> list[Finding]:
    records = _trainer().compute.runs()
    running = [record.id for record in records if not record.state.is_terminal]
    return [Finding("runs", ok=True, detail=f"{len(records)}; running: {', '.join(running) or 'none'}")]


def _models() -> list[Finding]:
    models = _trainer().models
    counts = [f"{name} ({len(models.versions(name))})" for name in models.names()]
    return [Finding("models", ok=True, detail=", ".join(counts) or "none yet")]


def _azure() -> list[Finding]:
    from mnistkit.azureml.diagnosis import diagnose
    from mnistkit.config import find_config

    config = find_config()
    options: dict[str, object] | None = None
    for table in (config.compute, config.models):
        if options is None and table["backend"] == "azureml":
            options = {name: table[key] for key, name in _CONNECTION.items() if key in table}
    return [Finding(check, ok, detail) for check, ok, detail in diagnose(options)]


def _dask() -> list[Finding]:
    from mnistkit.config import find_config

    compute = find_config().compute
    if compute["backend"] != "dask":
        return []
    from mnistkit.dask.diagnosis import diagnose

    return [Finding(check, ok, detail) for check, ok, detail in diagnose(compute)]


_CHECKS = (_versions, _extras, _settings, _cache, _network, _azure, _dask, _runs, _models)


def _trainer() -> Trainer:
    from mnistkit.trainer.trainer import Trainer

    try:
        return Trainer.from_config()
    except ConfigError as error:
        raise StorageError(f"unknown, as the settings can't be read ({error})") from error


def _writable(check: str, folder: Path, variable: str) -> Finding:
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return Finding(check, ok=True, detail=f"{folder}{'' if nearest == folder else ' (not there yet)'}")
    return Finding(check, ok=False, detail=f"{folder} can't be written. Set {variable} to a folder that can.")


def _without_password(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
