"""Microsoft's login: the one service principal gets a token for its secret."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from urllib.parse import parse_qs

from mnistkit.emulator.routing import Request, Response, Route
from mnistkit.emulator.tokens import Tokens

__all__ = ["Login"]

_HOST = "login.microsoftonline.com"
_TOKEN_SECONDS = 3599


class Login:
    """The OpenID Connect endpoints that MSAL, the SDK's login library, makes use of."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        tenant = "/{tenant}/v2.0"
        return (
            Route("GET", "/common/discovery/instance", self._instances, host=_HOST, is_open=True),
            Route("GET", f"{tenant}/.well-known/openid-configuration", self._configuration, host=_HOST, is_open=True),
            Route("POST", "/{tenant}/oauth2/v2.0/token", self._token, host=_HOST, is_open=True),
        )

    def _instances(self, request: Request) -> Response:
        tenant = self._tokens.identity.tenant_id
        aliases = {"preferred_network": _HOST, "preferred_cache": "login.windows.net", "aliases": [_HOST]}
        return Response.json(
            {
                "tenant_discovery_endpoint": f"https://{_HOST}/{tenant}/v2.0/.well-known/openid-configuration",
                "metadata": [aliases],
            }
        )

    def _configuration(self, request: Request, tenant: str) -> Response:
        if tenant != self._tokens.identity.tenant_id:
            return _error("invalid_tenant", f"AADSTS90002: Tenant '{tenant}' not found.", 90002, 400)
        base = f"https://{_HOST}/{tenant}"
        return Response.json(
            {
                "issuer": f"{base}/v2.0",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "cloud_instance_name": "microsoftonline.com",
                "tenant_region_scope": None,
            }
        )

    def _token(self, request: Request, tenant: str) -> Response:
        form = {name: values[-1] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        who = self._tokens.identity
        client = form.get("client_id", "")
        if form.get("grant_type") != "client_credentials":
            text = "AADSTS70003: The emulator knows the grant type 'client_credentials' alone."
            return _error("unsupported_grant_type", text, 70003, 400)
        if tenant != who.tenant_id:
            return _error("invalid_request", f"AADSTS90002: Tenant '{tenant}' not found.", 90002, 400)
        if client != who.client_id:
            text = f"AADSTS700016: Application with identifier '{client}' was not found in the directory."
            return _error("unauthorized_client", text, 700016, 400)
        if not hmac.compare_digest(form.get("client_secret", "").encode(), who.client_secret.encode()):
            text = f"AADSTS7000215: Invalid client secret provided for app '{client}'."
            return _error("invalid_client", text, 7000215, 401)
        audience = form.get("scope", "").removesuffix("/.default")
        token = self._tokens.issue(audience, _TOKEN_SECONDS)
        return Response.json(
            {
                "token_type": "Bearer",
                "expires_in": _TOKEN_SECONDS,
                "ext_expires_in": _TOKEN_SECONDS,
                "access_token": token,
            }
        )


def _error(error: str, description: str, number: int, status: int) -> Response:
    return Response.json({"error": error, "error_description": description, "error_codes": [number]}, status)
