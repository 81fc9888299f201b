"""Secrets taken out of text that is to be kept or shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit, urlunsplit

__all__ = ["is_secret_name", "public_text", "public_url", "redacted", "redacted_arguments", "redacted_source"]

_MASK = "***"
_MIN_SECRET_LENGTH = 8  # of the environment's secrets: what is shorter stands in too many places by chance

_SURE = r"passw(?:or)?d|passphrase|secret|connection[_-]?string|(?:api|account|access|private)[_-]?key"
_ANYWHERE = re.compile(_SURE)
_LAST_WORDS = {"key", "token", "pwd", "sas", "sig", "signature", "credential", "credentials", "authorization"}
_NO_SECRETS = {"PWD", "OLDPWD"}

_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s;&,'")\]}]+)"""
_RULES = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"(?<=://)[^/\s'\"]*@", f"{_MASK}@"),  # user and password of a URL
        (r"\b(sig=)[^&\s'\";]+", rf"\1{_MASK}"),  # of a shared access signature
        (r"([?&](?:key|token|code)=)[^&\s'\"]+", rf"\1{_MASK}"),
        (rf"((?:(?:{_SURE})[\w-]{{0,20}}|token|credentials?|pwd)=\s*){_VALUE}", rf"\1{_MASK}"),
        (rf"""((?:{_SURE})[\w-]{{0,20}}["']?:\s*){_VALUE}""", rf"\1{_MASK}"),
        (r"""((?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:\w+\s+)?)[^\s'"]+""", rf"\1{_MASK}"),
        (r"\b(bearer\s+)[\w.~+/=-]{16,}", rf"\1{_MASK}"),
        (r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*", _MASK),  # a JSON web token, wherever it stands
    )
)
_URL_SECRETS_PATTERN = re.compile(r"(?<=//)[^/\s@]*@|\?[^\s'\"<>)]*")
_OPTION = re.compile(r"""(?<!\S)(--?[A-Za-z][\w.-]*)(\s+|=)("[^"]*"|'[^']*'|\S+)""")
_ASSIGNMENT_PATTERN = re.compile(
    r"""\b([A-Za-z_]\w*)(["']?\]?(?:\s*:\s*[\w.\[\] |]+)?\s*=\s*|["']\s*:\s*)("[^"\n]*"|'[^'\n]*')"""
)


def redacted(text: str) -> str:
    """``text`` with ``***`` in place of whatever looks like a secret.

    That is: user and password of URLs; the ``sig=`` of shared access signatures; values of ``--password``, ``--token``,
    ``--key``, ``--secret`` and the like; ``AccountKey=...``, ``api_key=...`` and so on; authorization headers; and the
    values of this process's environment variables that are named like secrets, or that hold a proxy's password.
    A secret that looks like any other word can't be told from one.
    """
    for secret in sorted(_of_environment(), key=len, reverse=True):
        text = text.replace(secret, _MASK)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return _OPTION.sub(lambda m: f"{m[1]}{m[2]}{_MASK}" if is_secret_name(m[1]) else m[0], text)


def redacted_arguments(arguments: Iterable[str]) -> tuple[str, ...]:
    """A command line, argument by argument, without the secrets in it; see `redacted`."""
    shown: list[str] = []
    hides_next = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        is_secret = name.startswith("-") and is_secret_name(name)
        if hides_next and not argument.startswith("--"):
            shown.append(_MASK)
        else:
            shown.append(f"{name}={_MASK}" if is_secret and equals else redacted(argument))
        hides_next = is_secret and not equals
    return tuple(shown)


def redacted_source(text: str) -> str:
    """Python source without the texts that are assigned to names of secrets, and else `redacted`."""
    masked = _ASSIGNMENT_PATTERN.sub(
        lambda m: f"{m[1]}{m[2]}'{_MASK}'" if is_secret_name(m[1]) else m[0],
        text,
    )
    return redacted(masked)


def public_url(url: str) -> str:
    """Return a URL without user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def public_text(text: str) -> str:
    """Return `redacted` text in which every URL lacks user, password and query: a mirror's query may be a secret."""
    return redacted(_URL_SECRETS_PATTERN.sub("", text))


def is_secret_name(name: str) -> bool:
    """Return True if an option, variable or key of that name is likely to hold a secret, such as ``--api-key``."""
    lower = name.lower()
    words = [word for word in re.split(r"[^a-z0-9]+", lower) if word]
    return name not in _NO_SECRETS and bool(words) and (words[-1] in _LAST_WORDS or bool(_ANYWHERE.search(lower)))


def _of_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        secret = value if is_secret_name(name) else _password(value) if name.lower().endswith("_proxy") else ""
        for form in {secret, unquote(secret)}:
            if len(form) >= _MIN_SECRET_LENGTH:
                yield form


def _password(url: str) -> str:
    try:
        return urlsplit(url if "://" in url else f"http://{url}").password or ""
    except ValueError:
        return ""
