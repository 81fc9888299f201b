"""The user's mirror, passwords in URLs, and proxies of the environment."""

from __future__ import annotations

import http.server
import logging
from pathlib import Path

import pytest

from mnistkit.errors import DownloadError
from support.mirrors import (
    FILES,
    FIRST,
    Mirror,
    assert_good,
    fetch,
    serving,
)


def test_the_users_mirror_is_asked_first(mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``MNISTKIT_MIRROR`` comes before the built-in ones, as ``<mirror>/<dataset>/<file>``."""
    monkeypatch.setenv("MNISTKIT_MIRROR", f"{mirror.url}/good/")
    fetch(mirror.dataset("not_found"), cache)
    assert mirror.paths() == [f"/good/tiny/{name}" for name in FILES]


def test_secrets_in_urls_are_used_and_not_told(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """User, password and query of the mirror and of redirects reach the server and no message or log."""

    def onward(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", f"/not_found/{FIRST}?sig=canary-three")
        handler.end_headers()

    mirror.behaviours["onward"] = onward
    address = mirror.url.removeprefix("http://")
    monkeypatch.setenv("MNISTKIT_MIRROR", f"http://user:canary-one@{address}/onward?sig=canary-two")
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DownloadError) as caught:
        fetch(mirror.dataset(), cache)
    path, headers = mirror.requests[0]
    assert path == f"/onward/tiny/{FIRST}?sig=canary-two"
    assert headers["Authorization"] == "Basic dXNlcjpjYW5hcnktb25l"
    assert f"/not_found/{FIRST}?sig=canary-three" in mirror.paths()
    assert "GET /onward" in caplog.text
    assert "canary" not in caplog.text + str(caught.value) + repr(caught.value.__cause__)


def test_a_password_does_not_follow_to_another_host(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect to another server goes there without the credentials of the first."""
    with serving() as other:

        def onward(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
            handler.send_response(302)
            handler.send_header("Location", f"{other.url}/good/{handler.path.rpartition('/')[2]}")
            handler.end_headers()

        mirror.behaviours["onward"] = onward
        monkeypatch.setenv("MNISTKIT_MIRROR", mirror.url.replace("//", "//user:secret@") + "/onward")
        fetch(mirror.dataset(), cache)
        assert_good(cache)
        assert all("Authorization" in headers for _, headers in mirror.requests)
        assert not any("Authorization" in headers for _, headers in other.requests)


def test_proxies_of_the_environment_are_used(mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``HTTP_PROXY`` with its password is asked for the whole URL; ``NO_PROXY`` goes around it."""
    monkeypatch.setenv("http_proxy", mirror.url.replace("//", "//user:secret@"))
    fetch(mirror.dataset(mirrors=("http://mirror.invalid/good",)), cache)
    assert_good(cache)
    path, headers = mirror.requests[0]
    assert path == f"http://mirror.invalid/good/{FIRST}"
    assert headers["Proxy-Authorization"].startswith("Basic ")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    fetch(mirror.dataset("good"), cache / "direct")
    assert mirror.paths()[-1].startswith("/good/")


def test_a_dead_proxy_is_named_without_its_password(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says that the proxy can't be reached, and keeps the secret."""
    monkeypatch.setenv("http_proxy", "http://user:canary@127.0.0.1:9")
    with pytest.raises(DownloadError, match="proxy") as caught:
        fetch(mirror.dataset("good"), cache)
    assert "canary" not in str(caught.value)
