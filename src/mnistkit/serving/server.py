"""A registered model behind HTTP, as an object that is started and closed."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from mnistkit.errors import MissingExtraError, UsageError
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelRef, ModelVersion
from mnistkit.serving.addresses import check_port, is_loopback
from mnistkit.serving.limits import ServerLimits

__all__ = ["ModelServer"]

_log = logging.getLogger(__name__)


class ModelServer:
    """Serves a registered model over HTTP, and follows its alias. Needs the extra ``serve``.

    ::

        with ModelServer(registry, "sklearn_mnist@champion", port=0) as server:
            print(server.url)

    While it runs, numpy's linear algebra uses one thread in the whole process, because requests share the cores.

    Attributes:
        ref: What is served: a version, an alias that is followed, or the newest version.
        host: Where it listens.
        url: Of its page, once it has started.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        ref: str | ModelRef,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        token: str = "",
        limits: ServerLimits | None = None,
        poll_seconds: float = 3.0,
        allow_pickle: bool = False,
        trusted: Iterable[str | type] = (),
        verify_key: str | os.PathLike[str] | None = None,
        allow_version_mismatch: bool = False,
    ) -> None:
        """Check the options; nothing is loaded yet.

        Args:
            registry: Where the model is.
            ref: ``"name@champion"`` or ``"name"`` to follow it, ``"name:3"`` for one version.
            host: An address of this machine; one that others can reach needs a ``token``.
            port: Where to listen; 0 for a free one.
            token: What clients must send as ``Authorization: Bearer TOKEN``; empty for none.
            limits: What is accepted; None for the defaults.
            poll_seconds: How often the alias is looked at.
            allow_pickle: As in `mnistkit.load_model`, as are the others; they hold for later versions, too.
            trusted: As there.
            verify_key: As there.
            allow_version_mismatch: As there.

        Raises:
            UsageError: An option isn't possible, or the token is missing.
            InvalidNameError: ``ref`` isn't a reference.
        """
        if not (math.isfinite(poll_seconds) and poll_seconds > 0):
            raise UsageError(f"poll_seconds={poll_seconds!r:.80}: use a number of seconds above 0.")
        if not token and not is_loopback(host):
            raise UsageError(
                f"host={host!r:.80}: others can reach that address, so a token is needed: --token, or the variable "
                "MNISTKIT_SERVE_TOKEN. Or listen on 127.0.0.1."
            )
        if token and (not token.isascii() or not token.isprintable() or " " in token):
            raise UsageError("The token holds characters that a header can't carry: use letters and digits.")
        self.ref = ModelRef.parse(ref) if isinstance(ref, str) else ref
        self.host = host
        self._registry = registry
        self._port = check_port(port)
        self._token = token
        self._limits = limits or ServerLimits()
        self._poll_seconds = poll_seconds
        self._options: dict[str, Any] = {
            "allow_pickle": allow_pickle,
            "trusted": tuple(trusted),
            "verify_key": verify_key,
            "allow_version_mismatch": allow_version_mismatch,
        }
        self._started = contextlib.ExitStack()
        self._ended = threading.Event()
        self._app: Any = None
        self._http: Any = None

    @property
    def url(self) -> str:
        """Return the address of the page.

        Raises:
            UsageError: It hasn't been started.
        """
        if self._http is None:
            raise UsageError("The server hasn't been started: call start(), or use it in a 'with' block.")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104 - compared
        return f"http://{f'[{host}]' if ':' in host else host}:{self._http.port}"

    @property
    def version(self) -> ModelVersion:
        """Return the version that answers now.

        Raises:
            UsageError: It hasn't been started.
        """
        if self._app is None:
            raise UsageError("The server hasn't been started: call start(), or use it in a 'with' block.")
        version: ModelVersion = self._app.current.model.version
        return version

    def start(self) -> ModelServer:
        """Load the model, listen, and return once the recorded probe was predicted through HTTP as recorded.

        Raises:
            MissingExtraError: The extra ``serve`` isn't installed.
            ModelNotFoundError: There is no such model, version or alias.
            ModelError: It can't be loaded or isn't trusted, or predicts something else than recorded.
            ServiceError: The address can't be used, such as a port that is taken.
        """
        try:
            from threadpoolctl import threadpool_limits

            from mnistkit.serving.app import ServingApp
            from mnistkit.serving.http_server import HttpServer
        except ImportError as error:
            raise MissingExtraError(
                f"Serving needs {error.name}, which isn't installed: python -m pip install 'mnistkit[serve]'."
            ) from error
        from mnistkit.serving.current import CurrentModel
        from mnistkit.serving.smoke import smoke_test

        with contextlib.ExitStack() as undo:
            current = CurrentModel(self._registry, self.ref, poll_seconds=self._poll_seconds, **self._options)
            self._app = ServingApp(current, self._limits, self._token)
            self._http = HttpServer(self._app.wsgi(), host=self.host, port=self._port, limits=self._limits)
            undo.enter_context(threadpool_limits(limits=1))
            undo.callback(self._http.close)
            self._http.start()
            smoke_test(self.url, current.model, self._limits, self._token)
            current.start()
            undo.callback(current.stop)
            self._started = undo.pop_all()
        self._app.is_ready = True
        _log.info("%s is served on %s", current.model.version.id, self.url)
        return self

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is closed from another thread; return False after ``timeout`` seconds."""
        return self._ended.wait(timeout)

    def close(self) -> None:
        """Refuse new connections, finish the requests that are being answered, and stop; idempotent."""
        if self._app is not None:
            self._app.is_ready = False
        self._started.close()
        self._ended.set()

    def __enter__(self) -> ModelServer:  # noqa: PYI034 - Self needs Python 3.11
        return self if self._app is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
