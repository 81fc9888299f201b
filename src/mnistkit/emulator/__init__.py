"""An Azure Machine Learning workspace on loopback, for the unmodified SDK (v1): jobs really run, nothing leaves.

Stand-alone: of mnistkit it imports the errors and nothing else. Needs the extra ``emulator``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers; at run time __getattr__ imports each on first use
    from mnistkit.emulator.emulator import AzureMLEmulator
    from mnistkit.emulator.faults import Fault
    from mnistkit.emulator.settings import Settings

__all__ = ["AzureMLEmulator", "Fault", "Settings"]

_MODULES = {"AzureMLEmulator": "emulator", "Fault": "faults", "Settings": "settings"}
_PACKAGES = {"certifi", "cryptography", "h11", "jwt"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name not in _PACKAGES:
            raise
        from mnistkit.errors import MissingExtraError

        raise MissingExtraError(
            f"The emulator needs the package {error.name!r}: python -m pip install 'mnistkit[emulator]'."
        ) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
