"""The emulator as one object: workspace, services, server, and their lifetime."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from mnistkit.emulator import client
from mnistkit.emulator.authority import Authority
from mnistkit.emulator.dispatch import Dispatcher
from mnistkit.emulator.faults import Fault, Faults
from mnistkit.emulator.hub import Hub
from mnistkit.emulator.server import LOOPBACK, Server
from mnistkit.emulator.services.assembly import Services, assemble
from mnistkit.emulator.settings import Settings
from mnistkit.emulator.state import kept_port, open_folder, read_config, workspace_of
from mnistkit.emulator.store import Store
from mnistkit.emulator.tokens import Identity, Tokens
from mnistkit.emulator.workspace import Workspace
from mnistkit.errors import UsageError

__all__ = ["AzureMLEmulator"]

_HOME_FOLDER = "home"
_STATE_FOLDER = "workspace"
_UPLOADS_FOLDER = "uploads"
_MORE_FOLDER = "workspaces"  # below the first one's state: it goes with that


class AzureMLEmulator:
    """An Azure ML workspace on loopback, for the unmodified SDK (v1).

    ::

        with AzureMLEmulator() as emulator:
            subprocess.run(command, env=os.environ | emulator.environment())

    Args:
        state: The folder that keeps the workspace, its runs and models; None for one that goes when it stops.
        port: On loopback; 0 for the one that it had last with this state, or else a free one.
        config: The ``config.json`` of the workspace to stand in for; None for one of its own.
        faults: What is to go wrong from the start.
        settings: How it behaves otherwise.
    """

    def __init__(
        self,
        state: Path | None = None,
        *,
        port: int = 0,
        config: Path | None = None,
        faults: Iterable[Fault] = (),
        settings: Settings | None = None,
    ) -> None:
        self._given_state = state
        self._given_port = port
        self._names = read_config(config) if config else None
        self._settings = self._current = settings or Settings()
        self._initial_faults = tuple(faults)
        self._undo = contextlib.ExitStack()
        self._undo_services = contextlib.ExitStack()
        self._dispatcher: Dispatcher | None = None

    def start(self) -> AzureMLEmulator:
        """Listen from now on; return self.

        Raises:
            StorageError: The state can't be used, or another emulator has it.
            UsageError: The port is taken.
        """
        with contextlib.ExitStack() as undo:
            self._folder = undo.enter_context(open_folder(self._given_state))
            self._tokens = Tokens(Identity.of(self._folder))
            self._dispatcher = Dispatcher(self._tokens, Faults(self._initial_faults))
            self._authority = Authority(self._folder / "authority", self._settings.hosts)
            (self._folder / _HOME_FOLDER).mkdir(mode=0o700, exist_ok=True)
            store = Store(self._folder / _STATE_FOLDER)
            undo.callback(store.close)
            uploads = self._folder / _UPLOADS_FOLDER
            shutil.rmtree(uploads, ignore_errors=True)
            uploads.mkdir(mode=0o700)
            self._server = self._listen(self._dispatcher, uploads, kept_port(store))
            undo.callback(self._server.stop)
            undo.callback(self._stop_services)
            self._build(store, self._settings)
            self._server.start()
            self._undo = undo.pop_all()
        return self

    def stop(self) -> None:
        """End all jobs and connections; idempotent."""
        self._undo.close()

    def reset(self, *, faults: Iterable[Fault] = (), settings: Settings | None = None) -> None:
        """Begin anew with an empty workspace, at the same address and with the same credentials.

        A part of the SDK reads its environment only once in a process: this is how one process has many workspaces.

        Args:
            faults: What is to go wrong from now on.
            settings: How it behaves; None for what it was made with.

        Raises:
            UsageError: The settings name a host beyond those that it was made with, for which its clients trust it.
        """
        settings = settings or self._settings
        foreign = sorted(settings.hosts - self._settings.hosts)
        if foreign:
            text = f"{', '.join(foreign)}: make the emulator with web=... for these, a reset can't add hosts."
            raise UsageError(text)
        self._stop_services()
        shutil.rmtree(self._folder / _STATE_FOLDER, ignore_errors=True)
        self._open.faults = Faults(faults)
        self._open.unknown.clear()
        self._build(Store(self._folder / _STATE_FOLDER), settings)

    def __enter__(self) -> AzureMLEmulator:  # noqa: PYI034 - typing.Self came with Python 3.11
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def workspace(self) -> Workspace:
        """The workspace's names."""
        return self._workspace

    @property
    def unknown_requests(self) -> tuple[str, ...]:
        """Requests beyond the emulator's limits, as ``METHOD host/path``, most with the reason and a way around."""
        return tuple(self._dispatcher.unknown) if self._dispatcher else ()

    def environment(self) -> dict[str, str]:
        """Return the variables for a process that is to talk to it alone; see `client.environment`."""
        home = self._folder / _HOME_FOLDER
        return client.environment(self._workspace, self._tokens.identity, self._authority.bundle, home, self._current)

    @property
    def bundle(self) -> Path:
        """The file of certificates that its clients trust; renewed by each start."""
        return self._authority.bundle

    def write_config(self, folder: Path | None = None) -> Path:
        """Write the ``config.json`` for ``Workspace.from_config()``, by default in the state; return the file."""
        return client.write_config(self._workspace, folder or self._folder)

    def token(self, audience: str = "", seconds: float = 3600.0) -> str:
        """Return a bearer token for ``TokenAuthentication``; an expired one if ``seconds`` is negative."""
        return self._tokens.issue(audience, seconds)

    def inject(self, fault: Fault) -> None:
        """Add a fault."""
        self._open.faults.inject(fault)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._open.faults.clear()

    def _build(self, store: Store, settings: Settings) -> None:
        def services_of(workspace: Workspace, store: Store, hub: Hub) -> Services:
            home = self._folder / _HOME_FOLDER
            return assemble(
                workspace,
                store,
                hub=hub,
                tokens=self._tokens,
                faults=self._open.faults,
                settings=settings,
                environment=client.connection(workspace, self._authority.bundle, home, settings),
            )

        with contextlib.ExitStack() as undo:
            undo.callback(store.close)
            self._workspace = workspace_of(store, self._server.port, self._names)
            hub = Hub(self._folder / _STATE_FOLDER / _MORE_FOLDER, services_of)
            undo.callback(hub.close)
            undo.callback(self._open.faults.stop)
            hub.open(self._workspace, store)
            self._current = settings
            self._open.router = hub
            self._undo_services = undo.pop_all()

    def _stop_services(self) -> None:
        if self._dispatcher is not None:
            self._dispatcher.router = None
        self._undo_services.close()

    @property
    def _open(self) -> Dispatcher:
        if self._dispatcher is None:
            raise UsageError("The emulator isn't started: call start(), or use it in a with statement.")
        return self._dispatcher

    def _listen(self, application: Dispatcher, uploads: Path, last_port: int) -> Server:
        """Listen on the given port, else on the last one if that is free, else on any."""
        if not self._given_port:
            with contextlib.suppress(OSError):
                return Server(application, self._authority, uploads, last_port)
        try:
            return Server(application, self._authority, uploads, self._given_port)
        except OSError as error:
            text = f"Port {self._given_port} on {LOOPBACK} can't be had: {error.strerror}. Name another, or none."
            raise UsageError(text) from error
