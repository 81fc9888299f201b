"""What all tests share: no network but loopback, a cache of their own, a home of their own."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mnistkit.data.dataset import Dataset
from mnistkit.plugins import data_source
from mnistkit.testing.data import write_tiny_mnist  # noqa: F401 - imported before the network is blocked

_LOOPBACK = ("127.", "::1", "localhost")


# On a busy machine drawing examples may take long, which says nothing about what is tested.
settings.register_profile("mnistkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mnistkit")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as where a shell started this in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # or no program that a test starts could be interrupted


class NetworkBlockedError(OSError):
    """A test tried to leave the machine."""


@pytest.fixture(autouse=True)
def _only_loopback(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets other than loopback are blocked in every test that isn't marked ``network``."""
    if request.node.get_closest_marker("network"):
        return
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(_LOOPBACK):
            raise NetworkBlockedError(f"a test tried to connect to {address}")
        connect(self, address)

    def guarded_resolve(host: object, *args: object, **kwargs: object) -> object:
        if host is not None and not str(host).startswith(_LOOPBACK):
            raise NetworkBlockedError(f"a test tried to look up {host}")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)


@pytest.fixture(autouse=True)
def _own_folders(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a home and a cache of its own, and none of the user's settings; ``mnist`` shares the cache."""
    for variable in [name for name in os.environ if name.startswith("MNISTKIT_")]:
        if variable != "MNISTKIT_CACHE" or not request.node.get_closest_marker("mnist"):
            monkeypatch.delenv(variable)
    if not request.node.get_closest_marker("mnist"):
        monkeypatch.setenv("MNISTKIT_CACHE", str(tmp_path / "mnistkit-cache"))
    monkeypatch.setenv("MNISTKIT_HOME", str(tmp_path / "mnistkit-home"))
    monkeypatch.setenv("MNISTKIT_COMPUTE", "in-process")


@pytest.fixture(scope="session")
def real_mnist() -> Dataset:
    """The real MNIST, through the product's own route: once per machine, then from the user's cache."""
    from mnistkit.data.fetching import fetch_dataset

    return fetch_dataset(data_source("mnist"))
