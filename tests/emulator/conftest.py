"""A client that knows no SDK: plain HTTP through the emulator's proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

if TYPE_CHECKING:  # needs the extra 'emulator'
    from mnistkit.emulator import AzureMLEmulator

MANAGEMENT = "https://management.azure.com"


class Client:
    """Asks the emulator as a client would that has its environment."""

    def __init__(self, emulator: AzureMLEmulator) -> None:
        self.emulator = emulator
        options = {"ca_certs": str(emulator.bundle), "retries": False, "timeout": 30}
        self._proxied = urllib3.ProxyManager(emulator.workspace.url, **options)
        self._direct = urllib3.PoolManager(retries=False, timeout=30)

    def ask(
        self, method: str, url: str, *, body: Any = None, token: str | None = "", headers: dict[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """One request; with a good token by default, with none if that is None. A path alone goes to the emulator."""
        given = dict(headers or {})
        if token is not None:
            given["Authorization"] = f"Bearer {token or self.emulator.token()}"
        content = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        if url.startswith("/"):
            return self._direct.request(method, self.emulator.workspace.url + url, body=content, headers=given)
        return self._proxied.request(method, url, body=content, headers=given)


@pytest.fixture
def emulator() -> Iterator[AzureMLEmulator]:
    """An emulator with an empty workspace."""
    from mnistkit.emulator import AzureMLEmulator

    with AzureMLEmulator() as emulator:
        yield emulator


@pytest.fixture
def client(emulator: AzureMLEmulator) -> Client:
    """A client of it."""
    return Client(emulator)
