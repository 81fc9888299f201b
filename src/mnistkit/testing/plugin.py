"""The pytest plugin: fixtures for projects that use mnistkit. Nothing heavy is imported before a fixture is used.

A failure in a subclass of a conformance suite names the sentence of the contract that broke. The plugin changes nothing
in the environment of tests that don't use its fixtures.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mnistkit.testing.contract import ContractSuite

if TYPE_CHECKING:  # every pytest run with mnistkit installed imports this file
    from mnistkit.emulator import AzureMLEmulator
    from mnistkit.interfaces import DataSource

__all__ = ["azureml_emulator", "mnistkit_home", "pytest_configure", "pytest_runtest_makereport", "tiny_mnist"]

for _suite in ("compute_backend", "data_source", "group_backend", "model_registry"):
    pytest.register_assert_rewrite(f"mnistkit.testing.{_suite}")  # a failed assertion shows its values


_MARKER = "azureml_emulator"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of the fixture ``azureml_emulator``."""
    text = "how fixture azureml_emulator behaves: settings, faults, allow_unknown (requests that aren't emulated)"
    config.addinivalue_line("markers", f"{_MARKER}(settings=None, faults=(), allow_unknown=False): {text}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure of a conformance suite's test the promise that it proves."""
    report = yield
    suite = getattr(item, "cls", None)
    if call.when == "call" and report.failed and suite is not None and issubclass(suite, ContractSuite):
        promise = suite.promise(getattr(item, "originalname", item.name))
        add = getattr(report.longrepr, "addsection", None)
        if promise and add:
            interface, sentence = promise
            add(f"contract of {interface}", f"contract: {sentence}")
    return report


@pytest.fixture
def mnistkit_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that ``MNISTKIT_HOME`` names while the test runs: runs and models are kept there.

    Jobs run in the test's own process, quick to start and easy to debug: ``MNISTKIT_COMPUTE`` is ``in-process`` for the
    test, unless it was set before.
    """
    home = tmp_path / "mnistkit-home"
    monkeypatch.setenv("MNISTKIT_HOME", str(home))
    monkeypatch.setenv("MNISTKIT_COMPUTE", os.environ.get("MNISTKIT_COMPUTE") or "in-process")
    return home


@pytest.fixture(scope="session")
def tiny_mnist(tmp_path_factory: pytest.TempPathFactory) -> DataSource:
    """Return a source of 300 + 100 digits in MNIST's shape, for any ``data=``; made offline once per session."""
    from mnistkit.plugins import data_source
    from mnistkit.testing.data import write_tiny_mnist

    return data_source(f"idx:{write_tiny_mnist(tmp_path_factory.mktemp('tiny-mnist'))}")


@pytest.fixture(scope="session")
def _azureml_address() -> Iterator[AzureMLEmulator]:
    """Yield one emulator a session: a part of the SDK reads the address only once in a process."""
    from mnistkit.emulator import AzureMLEmulator

    with AzureMLEmulator() as emulator:
        yield emulator


@pytest.fixture
def azureml_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureMLEmulator]:
    """Yield an empty Azure ML workspace on loopback, which the SDK in this process takes for Azure while the test runs.

    The test fails if it sends a request that isn't emulated. The marker ``azureml_emulator`` changes that::

        @pytest.mark.azureml_emulator(settings=Settings(phase_seconds=1), faults=[Fault("slow", seconds=2)])

    The test is skipped where the extra ``emulator`` isn't installed.
    """
    from mnistkit.errors import MissingExtraError

    try:
        emulator: AzureMLEmulator = request.getfixturevalue("_azureml_address")
    except MissingExtraError as error:
        pytest.skip(str(error))
    marker = request.node.get_closest_marker(_MARKER)
    options = dict(marker.kwargs) if marker else {}
    allow_unknown = options.pop("allow_unknown", False)
    emulator.reset(**options)
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    yield emulator
    unknown = sorted(set(emulator.unknown_requests))
    emulator.reset()  # no job outlives its test
    if unknown and not allow_unknown:
        pytest.fail(f"the emulator got requests that it doesn't emulate: {'; '.join(unknown)}", pytrace=False)
