"""Requests to a model behind HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from typing import Any

from mnistkit.errors import AuthenticationError, DataFormatError, ServiceError
from mnistkit.serving.addresses import is_loopback
from mnistkit.utils.documents import parse_json

__all__ = ["post_json"]

_TIMEOUT_SECONDS = 60.0
_MAX_ANSWER_BYTES = 64 << 20
_MAX_TEXT_CHARS = 500


def post_json(url: str, value: object, key: str = "") -> Any:
    """Send a value as JSON, and return the answer's.

    Proxies of the environment are used, except for this machine's own addresses.

    Args:
        url: The address, ``http`` or ``https``.
        value: Plain values.
        key: Sent as ``Authorization: Bearer KEY``; empty to send none.

    Raises:
        AuthenticationError: The key isn't one that is accepted.
        ServiceError: No answer, an answer that is an error, or one that isn't JSON.
    """
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise ServiceError(f"{url!r:.200} isn't the address of a web service.")
    request = urllib.request.Request(url, json.dumps(value).encode(), headers)  # noqa: S310 - the scheme was checked
    is_local = is_loopback(parts.hostname or "")
    opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if is_local else []))
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            return parse_json(response.read(_MAX_ANSWER_BYTES), url)
    except urllib.error.HTTPError as error:
        text = error.read(_MAX_ANSWER_BYTES).decode("utf-8", "replace")[:_MAX_TEXT_CHARS]
        error.close()
        kind = AuthenticationError if error.code in {401, 403} else ServiceError
        raise kind(f"{url} answers with {error.code} {error.reason}: {text}") from error
    except (OSError, HTTPException) as error:
        raise ServiceError(f"{url} doesn't answer: {error}. See the deployment's logs.") from error
    except DataFormatError as error:
        raise ServiceError(f"{url} answers with something that isn't JSON: {error}") from error
