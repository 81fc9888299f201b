"""Access to the local pages: who may read them, and who may change something."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from attrs import field, frozen

from mnistkit.serving.addresses import names_loopback

__all__ = ["Access"]

_TOKEN_BYTES = 24


def _secret() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


@frozen(kw_only=True, repr=False)
class Access:
    """The checks that each request passes.

    Any page in the browser can send requests to this machine, and any program on it can connect. So a request needs a
    secret that only the terminal has shown. It must name this machine as its host, or a name elsewhere that points to
    127.0.0.1 would do. What another page began is refused, also if the browser has added the cookie.

    Attributes:
        token: Stands in the printed address; the first visit exchanges it for the cookie.
        session: The cookie's value.
    """

    token: str = field(factory=_secret)
    session: str = field(factory=_secret)

    @staticmethod
    def cookie_name(port: int) -> str:
        """Return the cookie's name: cookies are shared by all ports of a host, so the port is part of it."""
        return f"mnistkit-ui-{port}"

    def is_token(self, given: str) -> bool:
        """Return True if it is the token."""
        return hmac.compare_digest(given.encode(errors="replace"), self.token.encode())

    def is_session(self, given: str) -> bool:
        """Return True if it is the cookie's value."""
        return hmac.compare_digest(given.encode(errors="replace"), self.session.encode())

    @staticmethod
    def is_own_host(host: str, port: int) -> bool:
        """Return True if a ``Host`` header names this machine and this port."""
        try:
            return names_loopback(host) and urlsplit(f"//{host}").port == port
        except ValueError:
            return False

    @staticmethod
    def is_own_request(*, method: str, host: str, origin: str | None, site: str | None, mode: str | None) -> bool:
        """Return True if a page of this server, or the user in the address bar, began a request.

        Args:
            method: Of HTTP. One that changes something needs an ``Origin``.
            host: The ``Host`` header, which was checked.
            origin: The ``Origin`` header, if any.
            site: The ``Sec-Fetch-Site`` header, if any: another port of this machine is ``same-site``.
            mode: The ``Sec-Fetch-Mode`` header, if any. A link elsewhere may lead to a page.
        """
        if origin is not None and origin != f"http://{host}":
            return False
        if method in {"GET", "HEAD"}:
            return site in {None, "none", "same-origin"} or mode == "navigate"
        return origin is not None
