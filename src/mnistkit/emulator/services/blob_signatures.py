"""Authorization of requests to blobs: shared access signatures, and the account's key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import unquote, urlencode

from mnistkit.emulator.routing import Refusal, Request

__all__ = ["Signatures"]

_SAS_VERSION = "2019-12-12"
_SCOPE_VERSION = "2020-12-06"  # from this version on, what is signed names the encryption scope too
_CLOCK_SKEW_SECONDS = 300.0
_SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
_PERMISSION_NAMES = {"r": "read", "a": "append", "c": "create", "w": "write", "d": "delete", "l": "list"}


class Signatures:
    """Signs and checks with a storage account's key.

    Args:
        account: The account's name.
        key: Its key, base64.
    """

    def __init__(self, account: str, key: str) -> None:
        self._account = account
        self._key = base64.b64decode(key)

    def sign(self, container: str, name: str | None, permissions: str, seconds: float) -> str:
        """Return a query string that opens a blob, or without a name all of a container, for some seconds."""
        values = {
            "sv": _SAS_VERSION,
            "sr": "c" if name is None else "b",
            "sp": "".join(each for each in "racwdl" if each in permissions),
            "se": _moment(time.time() + seconds),
            "spr": "https",
        }
        return urlencode(values | {"sig": self._signature(values, container, name)})

    def check(self, request: Request, container: str, name: str | None, permissions: str) -> None:
        """Check that a request holds one of some permissions.

        Args:
            request: What is asked.
            container: Of which container.
            name: Of which blob; None for the container itself.
            permissions: Any one of these is enough.

        Raises:
            Refusal: 403: there is no signature, it is wrong, its time is over, or it permits something else.
        """
        if request.headers.get("authorization", "").startswith("SharedKey "):
            self._check_key(request)
            return
        values = request.query
        if "sig" not in values:
            raise _refusal("The request is neither signed nor has a signature in its URL.")
        if values.get("sr") not in {"b", "c"} or (name is None and values["sr"] == "b"):
            raise _refusal(f"The signature is for a resource of kind {values.get('sr')!r}, not for this one.")
        of = name if values["sr"] == "b" else None
        if not hmac.compare_digest(self._signature(values, container, of).encode(), values["sig"].encode()):
            raise _refusal("Signature did not match: the URL was changed, or is of another resource.")
        _check_time(values)
        if not set(permissions) & set(values.get("sp", "")):
            wanted = " or ".join(_PERMISSION_NAMES[each] for each in permissions)
            message = f"The signature permits {values.get('sp')!r}; this needs {wanted}."
            raise Refusal(403, message, code="AuthorizationPermissionMismatch")

    def _signature(self, values: Mapping[str, str], container: str, name: str | None) -> str:
        resource = f"/blob/{self._account}/{container}" + ("" if name is None else f"/{name}")
        version = values.get("sv", "")
        parts = [values.get("sp", ""), values.get("st", ""), values.get("se", ""), resource]
        parts += [values.get(each, "") for each in ("si", "sip", "spr")]
        parts += [version, values.get("sr", ""), values.get("snapshot", "")]
        parts += [values.get("ses", "")] if version >= _SCOPE_VERSION else []
        parts += [values.get(each, "") for each in ("rscc", "rscd", "rsce", "rscl", "rsct")]
        return self._hash("\n".join(parts))

    def _check_key(self, request: Request) -> None:
        headers = request.headers
        account, _, given = headers["authorization"].removeprefix("SharedKey ").partition(":")
        parts = [request.method, *(headers.get(each, "") for each in _SIGNED_HEADERS)]
        if headers.get("content-length") == "0":
            parts[3] = ""
        if "x-ms-date" in headers:
            parts[6] = ""
        parts += [f"{each}:{headers[each].strip()}" for each in sorted(headers) if each.startswith("x-ms-")]
        resource = f"/{self._account}{request.path}"
        query = {key.lower(): value for key, value in request.query.items()}
        parts += ["\n".join([resource, *(f"{key}:{query[key]}" for key in sorted(query))])]
        if account != self._account or not hmac.compare_digest(self._hash("\n".join(parts)).encode(), given.encode()):
            raise _refusal("The request's signature isn't one of the account's key.")

    def _hash(self, text: str) -> str:
        return base64.b64encode(hmac.new(self._key, text.encode(), hashlib.sha256).digest()).decode()


def _check_time(values: Mapping[str, str]) -> None:
    now = time.time()
    end, start = _seconds(values.get("se", "")), _seconds(values.get("st", "")) if values.get("st") else now
    if end is None or start is None:
        raise _refusal("The signature says no time that can be understood.")
    if not start - _CLOCK_SKEW_SECONDS <= now < end:
        raise _refusal(
            f"Signed expiry time [{values.get('se')}] must be after signed start time and now [{_moment(now)}]."
        )


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _seconds(text: str) -> float | None:
    for shape in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"):
        try:
            return datetime.strptime(unquote(text), shape).replace(tzinfo=timezone.utc).timestamp()
        except ValueError:
            continue
    return None


def _refusal(why: str) -> Refusal:
    return Refusal(403, f"Server failed to authenticate the request. {why}", code="AuthenticationFailed")
