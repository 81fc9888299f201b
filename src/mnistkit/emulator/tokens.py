"""The workspace's one service principal, and its bearer tokens."""

from __future__ import annotations

import json
import os
import secrets
import time
import uuid
from pathlib import Path

import jwt
from attrs import asdict, frozen

from mnistkit.emulator.routing import Refusal, Request

__all__ = ["Identity", "Tokens"]

_SIGNING_ALGORITHM = "HS256"
_TOKEN_SECONDS = 3600.0


@frozen(kw_only=True)
class Identity:
    """The service principal that clients log in as, and the key that signs its tokens.

    Attributes:
        tenant_id: Of its directory, a UUID.
        client_id: Its own id, a UUID.
        client_secret: Its password.
        signing_key: Never leaves the emulator.
    """

    tenant_id: str
    client_id: str
    client_secret: str
    signing_key: str

    @classmethod
    def of(cls, folder: Path) -> Identity:
        """Return the identity that is kept in a folder; a new random one where there is none."""
        file = folder / "identity.json"
        if file.exists():
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        identity = cls(
            tenant_id=str(uuid.uuid4()),
            client_id=str(uuid.uuid4()),
            client_secret=secrets.token_urlsafe(24),
            signing_key=secrets.token_hex(32),
        )
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            json.dump(asdict(identity), out)
        return identity


class Tokens:
    """Issues bearer tokens (JSON Web Tokens), and checks those that come back."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity

    def issue(self, audience: str = "", seconds: float = _TOKEN_SECONDS) -> str:
        """Return a token.

        Args:
            audience: For whom it is; all services take every token.
            seconds: How long it holds; a negative number gives one that has expired.
        """
        now = int(time.time())
        who = self.identity
        claims = {
            "aud": audience or "https://management.core.windows.net/",
            "iss": f"https://sts.windows.net/{who.tenant_id}/",
            "iat": now,
            "exp": now + int(seconds),
            "tid": who.tenant_id,
            "oid": who.client_id,
            "appid": who.client_id,
            "name": "emulator",
            "upn": "emulator@localhost",
        }
        return jwt.encode(claims, who.signing_key, algorithm=_SIGNING_ALGORITHM)

    def check(self, request: Request) -> None:
        """Check that a request carries a token of this workspace.

        Raises:
            Refusal: 401: it has none, or one of a wrong shape or signature, or one that has expired.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("AuthenticationFailed", "The 'Authorization' header holds no bearer token.")
        try:
            jwt.decode(
                token.strip(),
                self.identity.signing_key,
                algorithms=[_SIGNING_ALGORITHM],
                options={"require": ["exp", "tid"], "verify_aud": False},
            )
        except jwt.ExpiredSignatureError:
            raise _unauthorized("ExpiredAuthenticationToken", "The access token has expired.") from None
        except jwt.InvalidTokenError as error:
            raise _unauthorized("InvalidAuthenticationToken", f"The access token is invalid: {error}.") from None


def _unauthorized(code: str, message: str) -> Refusal:
    challenge = {"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{code}"'}
    return Refusal(401, message, code=code, headers=challenge)
