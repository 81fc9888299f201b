"""The models of a workspace as a registry needs them: an interface that each SDK fulfils."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from attrs import field, frozen

from mnistkit.utils.files import FileInfo

__all__ = ["ModelStore", "RunFiles", "StoredModel"]


def _utc(value: datetime | None) -> datetime:
    if value is None:
        return datetime.fromtimestamp(0, timezone.utc)
    return value.astimezone(timezone.utc)


@frozen(kw_only=True)
class StoredModel:
    """One model version as the workspace records it.

    Attributes:
        name: The model.
        version: Its number in the workspace.
        asset: Where its files are, in the words of the SDK that registered it.
        created_at: UTC.
        properties: Texts by key; none can be changed once it is there.
        tags: Texts by key, which anybody can change.
        description: Free text.
        run_id: The run that made it, if any.
    """

    name: str
    version: int
    asset: str
    created_at: datetime = field(converter=_utc)
    properties: Mapping[str, str]
    tags: Mapping[str, str]
    description: str
    run_id: str | None


@frozen
class RunFiles:
    """A run's files, where the workspace keeps them.

    Attributes:
        run_id: The run.
        experiment: Its group.
        container: The workspace's name of the place.
        files: As the run named them, sorted.
    """

    run_id: str
    experiment: str
    container: str
    files: tuple[str, ...]


class ModelStore(ABC):
    """Model versions, their files, and the files of runs in one workspace.

    A location is a text that names one file in the workspace; only the store that returned it can read it.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def place(self) -> str:
        """The workspace: ``"azureml://subscriptions/.../workspaces/..."``. May connect."""

    @property
    @abstractmethod
    def workspace_name(self) -> str:
        """The workspace's name, for messages. May connect."""

    @abstractmethod
    def list_models(self, name: str | None = None) -> list[StoredModel]:
        """Return all versions of a model, or of all models, sorted by name and number.

        It must include each version whose `create` returned before.
        """

    @abstractmethod
    def create(
        self,
        name: str,
        asset: str,
        *,
        properties: Mapping[str, str],
        tags: Mapping[str, str] | None = None,
        description: str = "",
        run: RunFiles | None = None,
    ) -> StoredModel:
        """Register files as the next version of ``name``, in one request: all or nothing.

        No two calls, in whichever processes, may get the same number.
        """

    @abstractmethod
    def remove(self, name: str, version: int) -> None:
        """Remove a version's record; nothing happens if it is gone."""

    @abstractmethod
    def upload(self, name: str, files: Mapping[str, Path]) -> str:
        """Copy files, by relative POSIX path, to where the workspace keeps models; return the asset."""

    @abstractmethod
    def run_files(self, run_id: str) -> RunFiles:
        """Return the files of a run.

        Raises:
            RunNotFoundError: The workspace has no such run.
        """

    @abstractmethod
    def asset_of_run(self, name: str, run: RunFiles, files: Sequence[str]) -> str:
        """Return an asset of some of a run's files, which stay where they are."""

    @abstractmethod
    def asset_of_event(self, name: str, asset: str, text: str) -> str:
        """Return an asset to register an event with, which is a version without files of its own.

        Args:
            name: The name that the event's version gets.
            asset: Of the version that the event is about.
            text: The event.
        """

    @abstractmethod
    def locate(self, asset: str) -> dict[str, str]:
        """Return a location for each file of an asset, by relative POSIX path.

        Raises:
            ServiceError: The asset can't be resolved.
        """

    @abstractmethod
    def locate_in_run(self, run: RunFiles, files: Sequence[str]) -> dict[str, str]:
        """Return a location for each of these files of a run."""

    @abstractmethod
    def download(self, location: str, path: Path) -> FileInfo:
        """Copy a file into a new one, and return the size and sha256 of what was copied."""

    @abstractmethod
    def size(self, location: str) -> int:
        """Return the number of bytes of a file, without reading it."""
