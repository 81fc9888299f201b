"""Access to the pages: the token, the cookie, the host and the origin."""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest
import urllib3

PAGES = ("/", "/sweeps", "/models", "/models/digits", "/data", "/api/runs", "/assets/style.css", "/static/live.js")


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_shown_without_the_cookie(server: Any, visitor: Any, path: str) -> None:
    """Without the cookie, or with a wrong one, every address answers 403 and names no run."""
    for cookie in ("", f"{visitor.cookie}x", visitor.cookie.partition("=")[0] + "="):
        answer = urllib3.request("GET", f"{visitor.base}{path}", headers={"Cookie": cookie}, retries=False)
        assert answer.status == 403
        assert b"2026" not in answer.data
    assert visitor.get(path).status == 200


def test_the_token_is_exchanged_for_a_cookie(server: Any, visitor: Any) -> None:
    """The printed address sets a cookie for this server, which isn't the token, and leads to the page without it."""
    answer = urllib3.request("GET", f"{server.url}&where=a%3D'b%26c'", redirect=False, retries=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/?where=a%3D%27b%26c%27")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    token = server.url.partition("token=")[2]
    assert len(token) >= 32
    assert token not in cookie
    wrong = urllib3.request("GET", f"{visitor.base}/?token={token[:-1]}", redirect=False, retries=False)
    assert (wrong.status, wrong.headers.get("Set-Cookie")) == (403, None)


def test_the_token_leads_nowhere_else(server: Any, visitor: Any) -> None:
    """Whatever path comes with the token, the redirection stays on this server."""
    for path in ("//example.org/", "/%2F/example.org", "/\\example.org", "/https://example.org"):
        token = server.url.partition("?")[2]
        answer = urllib3.request("GET", f"{visitor.base}{path}?{token}", redirect=False, retries=False)
        location = answer.headers.get("Location", "/")
        assert location.startswith(("/", visitor.base))
        assert not re.match(r"[/\\]{2}", location), location


@pytest.mark.parametrize(
    "host", ["example.org", "127.0.0.1.example.org:{port}", "127.0.0.1:1", "localhost", "[::1", ""]
)
def test_another_host_is_refused(visitor: Any, host: str) -> None:
    """A name elsewhere that points to this machine is refused, and so is another port, cookie or not."""
    port = visitor.base.rpartition(":")[2]
    assert visitor.get("/", Host=host.format(port=port)).status in {400, 403}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_its_own_names_are_served(visitor: Any, host: str) -> None:
    """Both names of this machine are served."""
    assert visitor.get("/", Host=f"{host}:{visitor.base.rpartition(':')[2]}").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://example.org"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"},
    ],
)
def test_another_page_can_read_nothing(visitor: Any, headers: dict[str, str]) -> None:
    """What another page requests is refused, also one on another port of this machine; a link to a page isn't."""
    assert visitor.get("/api/runs", **headers).status == 403
    assert visitor.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200


@pytest.mark.parametrize("origin", [None, "null", "http://example.org", "http://127.0.0.1:1"])
def test_another_page_can_change_nothing(visitor: Any, trainer: Any, origin: str | None) -> None:
    """Without this server's own origin nothing is changed, also with the cookie."""
    run = trainer.runs().rows[0].id
    headers = {} if origin is None else {"Origin": origin}
    answer = visitor.request("POST", f"/runs/{run}/cancel", fields={}, encode_multipart=False, **headers)
    assert answer.status == 403


def test_a_get_changes_nothing(visitor: Any, trainer: Any) -> None:
    """What changes something isn't answered to GET."""
    run = trainer.runs().rows[0].id
    for path in (f"/runs/{run}/cancel", "/models/digits/promote", "/models/digits/rollback"):
        assert visitor.get(path).status == 405


@pytest.mark.parametrize("path", [*PAGES, "/nowhere", "/runs/none"])
def test_every_answer_has_a_strict_policy(visitor: Any, path: str) -> None:
    """Each answer forbids inline scripts and styles, other origins and frames."""
    headers = visitor.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == ("no-cache" if path.startswith("/static/") else "no-store")
    assert "Access-Control-Allow-Origin" not in headers


def test_it_listens_on_loopback_alone(server: Any) -> None:
    """The address is 127.0.0.1, and no other of this machine answers."""
    assert server.url.startswith("http://127.0.0.1:")
    port = int(server.url.partition("127.0.0.1:")[2].partition("/")[0])
    with pytest.raises(OSError, match=r"refused|reach|assign"):
        socket.create_connection(("127.0.0.2", port), timeout=2)
