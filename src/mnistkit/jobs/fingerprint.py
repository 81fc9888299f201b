"""Fingerprints of jobs: what the result of a run depends on, part by part, so that two runs can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import field, frozen

from mnistkit.jobs.environment import Environment, library_versions
from mnistkit.jobs.source_code import module_digests, program_sources, script_digests
from mnistkit.jobs.spec import ModelSpec
from mnistkit.utils.files import sha256_hex
from mnistkit.utils.redaction import is_secret_name, redacted, redacted_arguments
from mnistkit.utils.serialization import to_json

__all__ = ["PARTS", "Difference", "Fingerprint", "model_fingerprint", "program_fingerprint", "script_fingerprint"]

PARTS: Final = ("code", "parameters", "data", "libraries", "seed")
"""The parts of a `Fingerprint`, in the order in which they are shown."""

_MAX_VALUE_CHARS = 72
_SHA256_DIGITS = 64
_MAX_FILES = 200


@frozen
class Difference:
    """One item in which two fingerprints differ.

    Attributes:
        part: One of ``mnistkit.jobs.fingerprint.PARTS``.
        item: A file, a parameter, a library.
        old: What the earlier one has; None if it lacks the item.
        new: What the later one has; None if it lacks the item.
    """

    part: str
    item: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        """``C: 1.0 -> 2.0``."""
        absent = "not set" if self.part == "parameters" else "absent"
        old, new = (_short(value) if value is not None else absent for value in (self.old, self.new))
        return f"{self.item}: {old} -> {new}"


@frozen(kw_only=True)
class Fingerprint:
    """All that the result of a run depends on. Equal fingerprints, equal results.

    Attributes:
        code: The sha256 of each file of the user's own code, by name.
        parameters: Of the model, or of the script, by name.
        data: What identifies the content of the data: sha256s by file.
        libraries: Versions by name.
        seed: The job's; None for scripts, which have their own.
    """

    code: Mapping[str, str] = field(factory=dict)
    parameters: Mapping[str, str] = field(factory=dict)
    data: Mapping[str, str] = field(factory=dict)
    libraries: Mapping[str, str] = field(factory=dict)
    seed: int | None = None

    @property
    def digests(self) -> dict[str, str]:
        """Return the sha256 of each part, by its name."""
        return {part: sha256_hex(to_json(self._items(part))) for part in PARTS}

    @property
    def digest(self) -> str:
        """Return the sha256 of the whole."""
        return sha256_hex(to_json(self.digests))

    def differences(self, earlier: Fingerprint) -> tuple[Difference, ...]:
        """Return every item in which this one differs from an earlier one, part by part."""
        return tuple(self._differences(earlier))

    def _differences(self, earlier: Fingerprint) -> Iterator[Difference]:
        for part in PARTS:
            old, new = earlier._items(part), self._items(part)
            for item in sorted(old.keys() | new.keys()):
                if old.get(item) != new.get(item):
                    yield Difference(part, item, old.get(item), new.get(item))

    def _items(self, part: str) -> Mapping[str, str]:
        if part == "seed":
            return {} if self.seed is None else {"seed": str(self.seed)}
        items: Mapping[str, str] = getattr(self, part)
        return items


def script_fingerprint(
    folder: Path,
    entry_script: str,
    arguments: Sequence[str],
    environment: Environment | None,
    data: Mapping[str, str],
) -> Fingerprint:
    """Return the fingerprint of a script that runs on data with these digests.

    What the script reads beside the data isn't part of it.

    Args:
        folder: The folder with the script.
        entry_script: The script, relative to the folder.
        arguments: Its command line. Secrets in it appear as digests only.
        environment: What it needs; None for what is installed here.
        data: The digests of the data by file, as `SupportsDigests.digests` returns them.

    Raises:
        UsageError: The folder is too large.
        OSError: A file can't be read.
    """
    return Fingerprint(
        code=_bounded(script_digests(folder)),
        parameters=_script_parameters(entry_script, arguments, environment),
        data=dict(data),
        libraries=library_versions(),
    )


def model_fingerprint(
    model: ModelSpec, *, seed: int, limit: int | None, model_format: str, data: Mapping[str, str]
) -> Fingerprint:
    """Return the fingerprint of a model that is fitted on data with these digests.

    What an estimator's own code reads beside the data isn't part of it.

    Args:
        model: The unfitted classifier.
        seed: The seed of the job.
        limit: The number of training images; None for all.
        model_format: How the model is written.
        data: The digests of the data by file, as `SupportsDigests.digests` returns them.

    Raises:
        SpecError: The estimator can't be imported, or its source has changed since it was imported.
    """
    code, libraries = {}, library_versions()
    for path in sorted(model.import_paths):
        files, versions = module_digests(path)
        code.update(files)
        libraries.update(versions)
    parameters = _model_parameters(model, limit, model_format)
    return Fingerprint(code=code, parameters=parameters, data=dict(data), libraries=libraries, seed=seed)


def program_fingerprint(name: str, data: Mapping[str, str]) -> Fingerprint:
    """Return the fingerprint of a fit that this program carries out itself, on data with these digests.

    What the program read, or was typed into it, isn't part of it: no run is ever reused by it.

    Args:
        name: The name of the fit.
        data: The digests of the data by file, as `SupportsDigests.digests` returns them.
    """
    code = {file: sha256_hex(source) for file, source in program_sources().files.items()}
    return Fingerprint(code=_bounded(code), parameters={"tracked": name}, data=dict(data), libraries=library_versions())


def _short(value: str) -> str:
    if len(value) == _SHA256_DIGITS and not value.strip("0123456789abcdef"):
        return value[:12]
    return value if len(value) <= _MAX_VALUE_CHARS else f"{value[: _MAX_VALUE_CHARS - 3]}..."


def _bounded(digests: dict[str, str]) -> dict[str, str]:
    """Return the digests by file, or one digest of all where they are too many to keep with every run."""
    if len(digests) <= _MAX_FILES:
        return digests
    return {f"({len(digests)} files)": sha256_hex(json.dumps(digests, sort_keys=True).encode())}


def _script_parameters(entry_script: str, arguments: Sequence[str], environment: Environment | None) -> dict[str, str]:
    parameters = {"entry_script": entry_script}
    option = ""
    for i, (argument, shown) in enumerate(zip(arguments, redacted_arguments(arguments), strict=True)):
        is_value = bool(option) and not argument.startswith("--")
        parameters[f"arguments[{i}]{f' ({option})' if is_value else ''}"] = _redacted_value(argument, shown)
        option = argument if argument.startswith("-") and "=" not in argument else ""
    return {**parameters, **(_environment_parameters(environment) if environment else {})}


def _environment_parameters(environment: Environment) -> dict[str, str]:
    """Return all of an environment but its name, which changes no result."""
    lists = {"pip": environment.pip, "conda": environment.conda}
    parameters = {f"environment.{name}": json.dumps(value) for name, value in lists.items() if value}
    if environment.python:
        parameters["environment.python"] = environment.python
    for name, value in environment.variables.items():
        shown = "***" if is_secret_name(name) else redacted(value)
        parameters[f"environment.variables.{name}"] = _redacted_value(value, shown)
    return parameters


def _redacted_value(value: str, shown: str) -> str:
    """Return ``shown``, with a digest where it hides part of ``value``: different secrets must stay different."""
    return value if shown == value else f"{shown} (sha256 {sha256_hex(value.encode())[:12]})"


def _model_parameters(model: ModelSpec, limit: int | None, model_format: str) -> dict[str, str]:
    parameters = {"model": model.type, "model_format": model_format}
    if limit is not None:
        parameters["limit"] = str(limit)
    for name, value in model.params.items():
        parameters.update(_flat(name, value))
    return parameters


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield a parameter by its name; of one that holds estimators, each of these and its own parameters."""
    if not isinstance(value, (list, Mapping)) or "$estimator" not in json.dumps(value):
        yield name, json.dumps(value, sort_keys=True)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            step, content = _step(item)
            yield from _flat(f"{name}[{i}]{step}", content)
    else:
        ((kind, content),) = value.items()
        if kind != "$estimator":
            yield from _flat(name, content)
            return
        yield name, content["type"]
        for inner, parameter in content["params"].items():
            yield from _flat(f"{name}.{inner}", parameter)


def _step(item: object) -> tuple[str, object]:
    """Return the name and the estimator of a step such as ``("scale", StandardScaler())``; else no name."""
    content = item.get("$tuple") if isinstance(item, Mapping) else None
    if isinstance(content, list) and len(content) == 2 and isinstance(content[0], str):  # noqa: PLR2004 - name and step
        return f".{content[0]}", content[1]
    return "", item
