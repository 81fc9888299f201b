"""The address of an MLflow server or database file."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from attrs import frozen

from mnistkit.errors import UsageError
from mnistkit.utils.redaction import public_url

__all__ = ["REGISTRY_VARIABLE", "TRACKING_VARIABLE", "Address"]

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
"""The environment variable that holds the address of MLflow's runs."""

REGISTRY_VARIABLE = "MLFLOW_REGISTRY_URI"
"""The environment variable that holds the address of MLflow's models, where they are elsewhere."""

_SQLITE = "sqlite:///"


@frozen
class Address:
    """The address of an MLflow server, ``http(s)://HOST``, or of its database, ``sqlite:///FILE``.

    Attributes:
        uri: As MLflow takes it; of a file absolute. May hold a password.
    """

    uri: str

    @classmethod
    def parse(cls, uri: str, source: str = "uri") -> Address:
        """Return the address that a text spells.

        Args:
            uri: ``sqlite:///FILE``, ``http://HOST`` or ``https://HOST``. A relative file is in the working folder.
            source: Where the text is from, for messages.

        Raises:
            UsageError: It is neither.
        """
        if not isinstance(uri, str):
            raise UsageError(f"{source}={uri!r:.80}: use sqlite:///FILE, or http(s)://SERVER.")
        text = uri.strip()
        if text.startswith(_SQLITE) and (file := text.removeprefix(_SQLITE)) and "?" not in file:
            return cls(f"{_SQLITE}{os.path.abspath(file)}")  # noqa: PTH100 - keeps symbolic links as they are named
        if text.startswith(("http://", "https://")) and _host(text):
            return cls(text.rstrip("/"))
        raise UsageError(
            f"{source} is {public_url(text)!r:.120}: use sqlite:///FILE, or http(s)://SERVER for an MLflow server. "
            "Other stores of MLflow keep no numbers that several writers can rely on."
        )

    @classmethod
    def of_home(cls, home: Path, uri: str | None, *variables: str) -> Address:
        """Return the address of ``uri``, else of the first variable that is set, else of a file below ``home``.

        Args:
            home: The folder for runs and models.
            uri: The address; None for that of the variables.
            variables: Names of environment variables.

        Raises:
            UsageError: It is neither a file's nor a server's.
        """
        if uri is not None:
            return cls.parse(uri)
        for variable in variables:
            if os.environ.get(variable, "").strip():
                return cls.parse(os.environ[variable], variable)
        return cls(f"{_SQLITE}{Path(home).absolute() / 'mlflow' / 'mlflow.db'}")

    @property
    def file(self) -> Path | None:
        """Return the database file; None for a server."""
        return Path(self.uri.removeprefix(_SQLITE)) if self.uri.startswith(_SQLITE) else None

    @property
    def shown(self) -> str:
        """Return it without user, password and query, for messages and records."""
        return self.uri if self.file is not None else public_url(self.uri)

    @property
    def user_and_password(self) -> tuple[str, str] | None:
        """Return those in the uri; None if there are none."""
        parts = urlsplit(self.uri)
        if self.file is not None or parts.username is None:
            return None
        return unquote(parts.username), unquote(parts.password or "")

    @property
    def artifacts(self) -> Path | None:
        """Return the folder for files beside the database file; None for a server, which has its own."""
        return None if self.file is None else self.file.parent / "artifacts"

    def exists(self) -> bool:
        """Return False if there is no such database file; a server is taken to exist. Creates nothing."""
        return self.file is None or self.file.exists()


def _host(uri: str) -> str | None:
    try:
        return urlsplit(uri).hostname
    except ValueError:
        return None
