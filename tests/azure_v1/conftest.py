"""What the tests with the real SDK share: it talks to the emulator, in this very process."""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from azureml.core import Workspace

    from mnistkit.emulator import AzureMLEmulator

_SDK_NOISE = (  # of the SDK and of what it brings along; ours are found where the SDK isn't
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::PendingDeprecationWarning",
    "ignore::ResourceWarning",  # sockets and files that the SDK leaves to the garbage collector
    "ignore:pkg_resources is deprecated",
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",  # its timers, between two tests
)

collect_ignore_glob = []
if importlib.util.find_spec("azureml") is None or importlib.util.find_spec("azureml.core") is None:
    collect_ignore_glob.append("test_*.py")  # their names are also those of other folders' tests
else:
    os.environ.setdefault("AZUREML_DEFAULT_BACKOFF", "1")  # seconds, not 32; read when it is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of while it is imported
        importlib.import_module("azureml.core")


def pytest_configure(config: pytest.Config) -> None:
    """The SDK warns between tests too, on its timers; where it isn't installed, nothing is let pass."""
    if collect_ignore_glob:
        return
    for line in _SDK_NOISE:
        config.addinivalue_line("filterwarnings", line)
    for category in (DeprecationWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The SDK's own warnings are no failures of ours."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for line in _SDK_NOISE:
                item.add_marker(pytest.mark.filterwarnings(line), append=False)


@pytest.fixture
def emulator(azureml_emulator: AzureMLEmulator) -> AzureMLEmulator:
    """The emulator, with an empty workspace."""
    return azureml_emulator


@pytest.fixture
def workspace(emulator: AzureMLEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace as the SDK sees it; the current folder is an empty one with its config.json."""
    from azureml.core import Workspace

    folder = tmp_path / "project"
    emulator.write_config(folder)
    monkeypatch.chdir(folder)
    return Workspace.from_config()
