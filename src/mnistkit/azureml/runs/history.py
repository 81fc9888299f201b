"""The runs of a workspace as a backend reads them: an interface that each SDK fulfils."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from attrs import field, frozen

from mnistkit.runs.record import MetricPoint

__all__ = ["History", "StoredRun"]


def _utc(value: datetime | str | None) -> datetime | None:
    if value is None:
        return None
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    if at.tzinfo is None:
        return at.replace(tzinfo=timezone.utc)
    with contextlib.suppress(OverflowError):  # in the years 1 and 9999
        return at.astimezone(timezone.utc)
    return at


@frozen(kw_only=True)
class StoredRun:
    """One run as the workspace records it.

    Attributes:
        id: Of the run.
        status: Its state in Azure's words.
        properties: Texts by key, ours among them.
        tags: Texts by key.
        created_at: UTC; None if the workspace has no time.
        started_at: When it began to run, UTC; None before that.
        ended_at: UTC; None before that.
    """

    id: str
    status: str
    properties: Mapping[str, str]
    tags: Mapping[str, str]
    created_at: datetime | None = field(default=None, converter=_utc)
    started_at: datetime | None = field(default=None, converter=_utc)
    ended_at: datetime | None = field(default=None, converter=_utc)


class History(ABC):
    """Reads runs of one workspace. Each call has a deadline, and may be repeated."""

    @property
    @abstractmethod
    def workspace_name(self) -> str:
        """The workspace's name, for messages. May connect."""

    @abstractmethod
    def get(self, run_id: str) -> StoredRun:
        """Return the present state of a run.

        Raises:
            RunNotFoundError: There is none.
        """

    @abstractmethod
    def list_runs(self, experiment: str | None) -> list[StoredRun]:
        """Return all runs that mnistkit submitted, or those of one experiment."""

    @abstractmethod
    def points(self, run_id: str) -> list[MetricPoint]:
        """Return the values of all scalar metrics, in the order in which they were measured."""

    @abstractmethod
    def files(self, run_id: str) -> list[str]:
        """Return the names of the files that the run has written so far, sorted."""

    @abstractmethod
    def error(self, run_id: str) -> str | None:
        """Return Azure's reason for a failure; None if it gives none."""

    @abstractmethod
    def log(self, run_id: str, skip: int = 0) -> bytes:
        """Return the log so far, from byte ``skip`` on."""

    @abstractmethod
    def url(self, run_id: str) -> str:
        """Return the run's page in the studio."""

    @abstractmethod
    def download(self, run_id: str, file: str, to: Path) -> None:
        """Write a file of the run to a path, unverified."""

    @abstractmethod
    def cancel(self, run_id: str) -> None:
        """Request the run's cancellation."""

    @abstractmethod
    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of the run; others stay."""

    @abstractmethod
    def remove_tags(self, run_id: str, names: Sequence[str]) -> None:
        """Remove tags that the run has."""
