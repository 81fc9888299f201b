"""Addresses of schedulers."""

from __future__ import annotations

import logging
import urllib.parse

__all__ = ["warn_without_tls"]

_log = logging.getLogger(__name__)

_LOOPBACK_PREFIXES = ("127.", "[::1]", "::1", "localhost")
_warned: set[str] = set()


def warn_without_tls(address: str) -> None:
    """Log, once for each address, that it is beyond this machine and not encrypted."""
    parts = urllib.parse.urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme in {"tls", "inproc"} or parts.netloc.startswith(_LOOPBACK_PREFIXES) or address in _warned:
        return
    _warned.add(address)
    _log.warning(
        "The Dask scheduler at %s is used without TLS: whoever reaches it can run code on the workers and "
        "here. Set security= and an address that begins with tls://.",
        address,
    )
