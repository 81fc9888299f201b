"""Registered models as values: versions, references, aliases and their history."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from mnistkit.errors import InvalidNameError
from mnistkit.models.input import InputSpec
from mnistkit.utils.files import FileInfo
from mnistkit.utils.markup import render
from mnistkit.utils.names import check_name
from mnistkit.utils.summary import Summary, SummaryTable
from mnistkit.utils.text import local_time

__all__ = ["Assignment", "ModelRef", "ModelVersion", "check_alias"]

_REF_PATTERN = re.compile(r"(?P<name>[^:@]+)(?::(?P<version>[1-9][0-9]{0,8})|@(?P<alias>[^:@]+))?")


@frozen(kw_only=True)
class ModelVersion:
    """One registered version of a model. Its files never change.

    Attributes:
        name: The model.
        version: 1, 2, 3 and so on.
        created_at: When it was registered, UTC; information only, the order is the version's.
        format: One of `FORMATS`.
        files: Each file's size and sha256, by its path relative to the version's folder.
        digest: The sha256 of the manifest: pins the files and everything registered with them.
        metrics: Numbers by name, such as ``accuracy``.
        tags: Free text by key.
        description: Free text.
        run_id: The run that made it, if any.
        versions: Of Python and the libraries that made it, by name.
        location: Where the files are, for people: a folder or a URL.
        input: How the images of its training data were prepared, and which data that was; None if unknown.
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
    input: InputSpec | None = None

    @property
    def id(self) -> str:
        """Return ``name:version``, as Azure ML spells it; `ModelRef.parse` takes it."""
        return f"{self.name}:{self.version}"

    @property
    def uri(self) -> str:
        """Return what identifies it within its registry: `id`, which in a workspace is Azure's."""
        return self.id

    def describe(self) -> Summary:
        """Return where it comes from, what it was measured to do, and its files."""
        files = [(name, f"{info.size:,} bytes", info.sha256) for name, info in sorted(self.files.items())]
        return Summary(
            title=f"Model {self.id}",
            facts={
                "Description": self.description,
                "Registered": local_time(self.created_at),
                "Format": self.format,
                "Run": self.run_id,
                **({} if self.input is None else _input_facts(self.input)),
                "Tags": "\n".join(f"{key}={value}" for key, value in self.tags.items()),
                "Digest": self.digest,
                "Kept in": self.location,
            },
            tables=(
                SummaryTable(title="Metrics", columns=("metric", "value#"), rows=self.metrics.items()),
                SummaryTable(title="Files", columns=("file", "size#", "sha256"), rows=files, is_folded=True),
                SummaryTable(
                    title="Versions", columns=("library", "version"), rows=self.versions.items(), is_folded=True
                ),
            ),
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.describe())


def _input_facts(spec: InputSpec) -> dict[str, str]:
    data = f"{spec.dataset}, sha256 {spec.dataset_sha256}" if spec.dataset_sha256 else spec.dataset
    return {
        "Input": f"{spec.size}, {spec.preparation}",
        "Trained on": data,
        "Classes": ", ".join(spec.class_names),
    }


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
    """A reference to a version: ``name`` (the newest), ``name:3`` or ``name@champion``.

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
        match = _REF_PATTERN.fullmatch(text)
        if not match:
            raise InvalidNameError(f"{text!r:.120} isn't a model reference: write NAME, NAME:3 or NAME@ALIAS.")
        name, version, alias = match["name"], match["version"], match["alias"]
        check_name(name, "model name")
        if alias is not None:
            check_alias(alias)
        return cls(name, int(version) if version else None, alias)

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.name}:{self.version}"
        return f"{self.name}@{self.alias}" if self.alias else self.name


def check_alias(alias: str) -> str:
    """Return ``alias`` if a model may have an alias of that name.

    Raises:
        InvalidNameError: It breaks the naming rule, or is ``latest``, which everyone takes for the newest version.
    """
    check_name(alias, "alias")
    if alias.lower() == "latest":
        raise InvalidNameError(
            f"The alias {alias!r} is reserved: NAME alone is the newest version. Use another alias, such as 'champion'."
        )
    return alias
