"""Registered models as values: versions, references, aliases and their history."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from mnistkit.errors import InvalidNameError
from mnistkit.utils.files import FileInfo
from mnistkit.utils.names import check_name

__all__ = ["Assignment", "ModelRef", "ModelVersion"]


_REF = re.compile(r"(?P<name>[^:@]+)(?::(?P<version>[1-9][0-9]{0,8})|@(?P<alias>[^:@]+))?")


@frozen(kw_only=True)
class ModelVersion:
    """One registered version of a model. Its files never change.

    Attributes:
        name: The model.
        version: 1, 2, 3 and so on.
        created_at: When it was registered, UTC; information only, the order is the version's.
        format: One of `FORMATS`.
        files: Each file's size and sha256, by its path relative to the version's folder.
        digest: The sha256 of the manifest: pins the files and everything said of them.
        metrics: What it was measured to do.
        tags: Free text by key.
        description: Free text.
        run_id: The run that made it, if any.
        versions: Of Python and the libraries that made it, by name.
        location: Where the files are, for people: a folder or a URL.
    """

    name: str
    version: int
    created_at: datetime
    format: str
    files: Mapping[str, FileInfo]
    digest: str
    metrics: Mapping[str, float] = field(factory=dict)
    tags: Mapping[str, str] = field(factory=dict)
    description: str = ""
    run_id: str | None = None
    versions: Mapping[str, str] = field(factory=dict)
    location: str = ""

    @property
    def id(self) -> str:
        """``name:version``, as Azure ML spells it; `ModelRef.parse` takes it."""
        return f"{self.name}:{self.version}"

    @property
    def uri(self) -> str:
        """What identifies it within its registry: `id`, which in a workspace is Azure's."""
        return self.id

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from mnistkit.runs.views import model_html

        return model_html(self)


@frozen(kw_only=True)
class Assignment:
    """One entry in the history of an alias.

    Attributes:
        alias: Such as ``"champion"``.
        version: What it pointed to from then on.
        assigned_at: When, UTC; information only, the order is the history's.
        reason: Why, in the caller's words.
        by: Who: ``user@host``, as the system has them.
    """

    alias: str
    version: int
    assigned_at: datetime
    reason: str = ""
    by: str = ""


@frozen
class ModelRef:
    """What a person calls a version: ``name`` (the newest), ``name:3`` or ``name@champion``.

    Attributes:
        name: The model.
        version: The number, if given.
        alias: The alias, if given.
    """

    name: str
    version: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """Read a reference.

        Raises:
            InvalidNameError: It isn't one, or its parts break the naming rule.
        """
        match = _REF.fullmatch(text)
        if not match:
            raise InvalidNameError(f"{text!r:.120} is no model reference: write NAME, NAME:3 or NAME@ALIAS.")
        name, version, alias = match["name"], match["version"], match["alias"]
        check_name(name, "model name")
        if alias is not None:
            check_name(alias, "alias")
        return cls(name, int(version) if version else None, alias)

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.name}:{self.version}"
        return f"{self.name}@{self.alias}" if self.alias else self.name
