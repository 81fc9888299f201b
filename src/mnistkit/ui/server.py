"""The local pages as an object that is started and closed."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from mnistkit.errors import MissingExtraError, UsageError
from mnistkit.serving.addresses import check_port
from mnistkit.trainer.trainer import Trainer

__all__ = ["UiServer"]

_HOST = "127.0.0.1"
_MAX_BODY_BYTES = 1 << 16


class UiServer:
    """Serves a trainer's runs, sweeps, models and data as pages to this machine. Needs the extra ``ui``.

    ::

        with UiServer(trainer, port=0) as server:
            print(server.url)

    The pages read what is there while somebody looks, and own nothing: runs, models and the pages' own readers don't
    notice when it is closed.

    Attributes:
        trainer: Whose runs, models and data are shown; the runs of all experiments.
        allow_changes: Whether aliases may be promoted and rolled back. Runs can be canceled in any case.
    """

    def __init__(self, trainer: Trainer, *, port: int = 8765, allow_changes: bool = False) -> None:
        """Check the options; nothing is read yet.

        Args:
            trainer: Whose runs, models and data are shown.
            port: Where to listen, on 127.0.0.1; 0 for a free one.
            allow_changes: Whether aliases may be promoted and rolled back.

        Raises:
            UsageError: There is no such port.
        """
        self.trainer = trainer
        self.allow_changes = allow_changes
        self._port = check_port(port)
        self._app: Any = None
        self._http: Any = None

    @property
    def url(self) -> str:
        """Return the address to open, with the token that lets a browser in.

        Raises:
            UsageError: It hasn't been started.
        """
        if self._http is None:
            raise UsageError("The pages haven't been started: call start(), or use them in a 'with' block.")
        return f"http://{_HOST}:{self._http.port}/?token={self._app.access.token}"

    def start(self) -> UiServer:
        """Listen, and return at once.

        Raises:
            MissingExtraError: The extra ``ui`` isn't installed.
            ServiceError: The port is taken.
        """
        try:
            from mnistkit.serving.http_server import HttpServer
            from mnistkit.ui.app import UiApp
        except ImportError as error:
            raise MissingExtraError(
                f"The local pages need {error.name}, which isn't installed: python -m pip install 'mnistkit[ui]'."
            ) from error
        from mnistkit.serving.limits import ServerLimits
        from mnistkit.ui.access import Access

        limits = ServerLimits(max_body_bytes=_MAX_BODY_BYTES, workers=4, max_queue=8, max_connections=100)
        app = UiApp(self.trainer, Access(), self.allow_changes)
        http = HttpServer(app.wsgi(), host=_HOST, port=self._port, limits=limits)
        app.port = http.port
        http.start()
        self._app, self._http = app, http
        return self

    def close(self) -> None:
        """Finish the requests that are being answered, and stop; idempotent."""
        if self._http is not None:
            self._http.close()

    def __enter__(self) -> UiServer:  # noqa: PYI034 - Self needs Python 3.11
        return self if self._http is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
