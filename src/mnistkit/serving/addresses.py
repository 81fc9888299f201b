"""Addresses: ports, and which hosts only this machine can reach."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from mnistkit.errors import UsageError

__all__ = ["check_port", "is_loopback", "names_loopback"]

_MAX_PORT = 65535


def check_port(port: int) -> int:
    """Return a port to listen on, 0 for a free one.

    Raises:
        UsageError: There is no such port.
    """
    if not isinstance(port, int) or not 0 <= port <= _MAX_PORT:
        raise UsageError(f"port={port!r:.80}: use 0 to {_MAX_PORT}.")
    return port


def is_loopback(host: str) -> bool:
    """Return True if only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_loopback(header: str) -> bool:
    """Return True if a ``Host`` header, such as ``127.0.0.1:8000``, names an address of `is_loopback`."""
    try:
        return is_loopback(urlsplit(f"//{header}").hostname or "")
    except ValueError:
        return False
