"""What the tests with the SDK v2 share: it talks to the emulator, in this very process."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator

_SDK_NOISE = (
    "ignore::DeprecationWarning",  # marshmallow 4 and others announce changes to the SDK's authors
    "ignore:.*marshmallow.*",
    "ignore::ResourceWarning",  # sockets that the SDK leaves to the garbage collector
)

collect_ignore_glob = []
if importlib.util.find_spec("azure") is None or importlib.util.find_spec("azure.ai") is None:
    collect_ignore_glob.append("test_*.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The SDK's own warnings are no failures of ours."""
    for item in items:
        if "azure_v2" in item.path.parts:
            for line in _SDK_NOISE:
                item.add_marker(pytest.mark.filterwarnings(line), append=False)


@pytest.fixture
def emulator(azureml_emulator: AzureMLEmulator) -> AzureMLEmulator:
    """The emulator, with an empty workspace."""
    return azureml_emulator


@pytest.fixture
def workspace(emulator: AzureMLEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The workspace's client; the current folder is an empty one with its config.json."""
    from mnistkit.azureml.v2 import connect

    folder = tmp_path / "project"
    emulator.write_config(folder)
    monkeypatch.chdir(folder)
    return connect()
