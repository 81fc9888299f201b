"""``mnistkit.toml`` or ``[tool.mnistkit]`` in ``pyproject.toml``: a project's defaults."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, fields, frozen

from mnistkit.errors import ConfigError
from mnistkit.settings import default_compute

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Config", "find_config", "read_config"]


@frozen(kw_only=True)
class Config:
    """A project's defaults.

    Attributes:
        data: The dataset's uri.
        experiment: What groups runs.
        home: Where runs and models are kept; None for ``MNISTKIT_HOME``, else ``./.mnistkit``.
        model: The name to register models under.
        compute: ``backend`` and its options; the default is ``MNISTKIT_COMPUTE``, else ``"process"``.
        models: ``backend`` and its options.
        file: Where this was read from; None for the built-in defaults.
    """

    data: str = "mnist"
    experiment: str = "sklearn-mnist"
    home: str | None = None
    model: str = "sklearn_mnist"
    compute: Mapping[str, Any] = field(factory=lambda: {"backend": default_compute()})
    models: Mapping[str, Any] = field(factory=lambda: {"backend": "folder"})
    file: Path | None = None


def find_config(start: Path | None = None) -> Config:
    """The nearest ``mnistkit.toml`` or ``pyproject.toml`` with ``[tool.mnistkit]``, from ``start`` upwards.

    Raises:
        ConfigError: It can't be understood.
    """
    start = (start or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        if (file := folder / "mnistkit.toml").is_file():
            return read_config(file)
        if (file := folder / "pyproject.toml").is_file() and b"[tool.mnistkit" in file.read_bytes():
            return read_config(file)
    return Config()


def read_config(file: Path) -> Config:
    """Read one file. A relative ``home`` is relative to it; ``MNISTKIT_HOME`` wins over it.

    Raises:
        ConfigError: It is no TOML, or has an unknown key or a value of the wrong type; names file, line and key.
    """
    try:
        text = file.read_text(encoding="utf-8")
        table: dict[str, Any] = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}.") from error
    if file.name == "pyproject.toml":
        table = table.get("tool", {}).get("mnistkit", {})
    kinds: dict[str, type] = {each.name: str for each in fields(Config) if each.name != "file"}
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
        table["home"] = str(file.parent / Path(table["home"]).expanduser())
    return Config(**table, file=file)


def _place(file: Path, text: str, key: str) -> str:
    pattern = re.compile(rf"\s*(?:\[(?:tool\.mnistkit\.)?)?[\"']?{re.escape(key)}[\"']?\s*(?:[=.\]])")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return f"{file}, line {number}"
    return str(file)
