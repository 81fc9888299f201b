"""Bearer tokens: ours pass until they expire, all others are refused with 401."""

from __future__ import annotations

import stat
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("jwt")

import jwt

from mnistkit.emulator.routing import Refusal, Request
from mnistkit.emulator.tokens import Identity, Tokens


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """Tokens of a new identity."""
    return Tokens(Identity.of(tmp_path))


def request(authorization: str | None) -> Request:
    """A request with that header."""
    headers = {} if authorization is None else {"authorization": authorization}
    return Request(method="GET", host="management.azure.com", path="/subscriptions", headers=headers)


def refusal(tokens: Tokens, authorization: str | None) -> Refusal:
    """How a request is refused."""
    with pytest.raises(Refusal) as caught:
        tokens.check(request(authorization))
    assert caught.value.status == 401
    assert "Bearer" in caught.value.headers["WWW-Authenticate"]
    return caught.value


def test_an_issued_token_passes(tokens: Tokens) -> None:
    """A token of ours is taken, for any service."""
    tokens.check(request(f"Bearer {tokens.issue()}"))
    tokens.check(request(f"bearer {tokens.issue('https://storage.azure.com', seconds=60)}"))


def test_the_claims_are_those_that_clients_read(tokens: Tokens) -> None:
    """Its expiry, tenant and audience can be read as in Azure's own."""
    claims = jwt.decode(tokens.issue("https://ml.azure.com", seconds=60), options={"verify_signature": False})
    assert claims["tid"] == tokens.identity.tenant_id
    assert claims["aud"] == "https://ml.azure.com"
    assert 0 < claims["exp"] - time.time() <= 60


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz"])
def test_no_token(tokens: Tokens, authorization: str | None) -> None:
    """A request without a bearer token is refused."""
    assert refusal(tokens, authorization).code == "AuthenticationFailed"


def test_expired(tokens: Tokens) -> None:
    """A token that has expired is refused, and the client is told so."""
    assert refusal(tokens, f"Bearer {tokens.issue(seconds=-1)}").code == "ExpiredAuthenticationToken"


def test_forged(tokens: Tokens, tmp_path: Path) -> None:
    """Tokens of another emulator, unsigned ones and mere text are refused."""
    (tmp_path / "other").mkdir()
    other = Tokens(Identity.of(tmp_path / "other"))
    unsigned = jwt.encode({"exp": time.time() + 60, "tid": tokens.identity.tenant_id}, None, algorithm="none")
    for token in (other.issue(), unsigned, "a.b.c", "nothing", tokens.issue() + "x"):
        assert refusal(tokens, f"Bearer {token}").code == "InvalidAuthenticationToken"


def test_incomplete(tokens: Tokens) -> None:
    """A signed token without an expiry or a tenant is refused."""
    key = tokens.identity.signing_key
    for claims in ({"exp": time.time() + 60}, {"tid": tokens.identity.tenant_id}):
        token = jwt.encode(claims, key, algorithm="HS256")
        assert refusal(tokens, f"Bearer {token}").code == "InvalidAuthenticationToken"


def test_the_identity_is_kept(tmp_path: Path) -> None:
    """The same folder has the same identity, another folder another one."""
    (tmp_path / "other").mkdir()
    first = Identity.of(tmp_path)
    assert Identity.of(tmp_path) == first
    assert Identity.of(tmp_path / "other").client_secret != first.client_secret


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_the_identity_is_private(tmp_path: Path) -> None:
    """Only its owner may read the file with the secrets."""
    Identity.of(tmp_path)
    assert stat.S_IMODE((tmp_path / "identity.json").stat().st_mode) == 0o600
