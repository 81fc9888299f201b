"""All workspaces of an emulator: the first, and those that clients create beside it, each with a state of its own."""

from __future__ import annotations

import re
import shutil
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from attrs import evolve, frozen

from mnistkit.emulator.payloads import check_name
from mnistkit.emulator.routing import Refusal, Request, Route, Router
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["Hub", "Running"]

_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,32}")
_SCOPE_PATTERN = re.compile(
    r"/resourceGroups/([^/]+)/providers/Microsoft\.MachineLearningServices/workspaces/([^/?]+)", re.IGNORECASE
)
_RECORD_KEY = "names"


class Running(Protocol):
    """A workspace's services."""

    @property
    def routes(self) -> Sequence[Route]:
        """Of all of them."""

    def stop(self) -> None:
        """End every process that any of them has started; idempotent."""


@frozen
class _Member:
    workspace: Workspace
    store: Store
    services: Running
    router: Router


class Hub:
    """The workspaces of one emulator, all in its subscription and resource group.

    Args:
        folder: Where the states of further workspaces are kept.
        build: Starts the services of a workspace with a store, which are given this hub.
    """

    def __init__(self, folder: Path, build: Callable[[Workspace, Store, Hub], Running]) -> None:
        self._folder, self._build = folder, build
        self._members: dict[str, _Member] = {}
        self._first = ""
        self._lock = threading.RLock()

    def open(self, workspace: Workspace, store: Store) -> None:
        """Start the first workspace, and those that were created beside it before."""
        self._first = workspace.name.lower()
        self._start(workspace, store)
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            kept = Store(folder)
            known = kept.table("workspace").get(_RECORD_KEY)
            if known is not None:
                self._start(evolve(workspace, **known), kept)

    def close(self) -> None:
        """End all services and close all states; idempotent."""
        with self._lock:
            members, self._members = list(self._members.values()), {}
        for member in members:
            member.services.stop()
            member.store.close()

    def workspaces(self) -> list[Workspace]:
        """Return all, the first one first."""
        return [member.workspace for member in list(self._members.values())]

    @property
    def routes(self) -> Sequence[Route]:
        """The routes of the first workspace."""
        return self._members[self._first].services.routes

    def create(self, name: object, *, location: str = "") -> Workspace:
        """Return a new workspace, which is empty.

        Raises:
            Refusal: 400: that can't be a name; 409: there is one of that name.
        """
        text = check_name(name, _NAME_PATTERN, "a workspace")
        with self._lock:
            if text.lower() in self._members:
                raise Refusal(409, f"There is a workspace {text!r} already.", code="Conflict")
            number = str(uuid.uuid4())
            account = f"{re.sub('[^a-z0-9]', '', text.lower())[:12]}{number.replace('-', '')[:10]}"
            first = self._members[self._first].workspace
            names: dict[str, Any] = {"name": text, "id": number, "is_further": True}
            names |= {"location": location or first.location, "storage_account": account}
            store = Store(self._folder / number)
            store.table("workspace")[_RECORD_KEY] = names
            workspace = evolve(first, **names)
            self._start(workspace, store)
        return workspace

    def delete(self, workspace: Workspace) -> None:
        """End a workspace, and remove its state.

        Raises:
            Refusal: 400: it is the emulator's own.
        """
        with self._lock:
            if workspace.name.lower() == self._first:
                text = f"{workspace.name!r} is the emulator's own workspace: it ends with the emulator."
                raise Refusal(400, text)
            member = self._members.pop(workspace.name.lower(), None)
        if member is not None:
            member.services.stop()
            member.store.close()
            shutil.rmtree(member.store.folder, ignore_errors=True)

    def find(self, request: Request) -> tuple[Route, dict[str, str]] | None:
        """Return the route of a request and the parts of its path; None if there is no route.

        Raises:
            Refusal: 404, if it concerns a workspace that isn't there.
        """
        return self._members[self._named(request)].router.find(request)

    def _named(self, request: Request) -> str:
        """Return the workspace that a request is for: by its path, its storage account, or else the first."""
        found = _SCOPE_PATTERN.search(unquote(request.path))
        name = (found[2] if found else request.query.get("workspace", "")).lower()
        if name in self._members:
            return name
        for key, member in list(self._members.items()):
            if request.host == member.workspace.blob_host:
                return key
        return self._first

    def _start(self, workspace: Workspace, store: Store) -> None:
        services = self._build(workspace, store, self)
        member = _Member(workspace, store, services, Router(workspace, services.routes))
        self._members[workspace.name.lower()] = member
