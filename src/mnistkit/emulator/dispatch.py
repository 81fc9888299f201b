"""The way of a request: its route, faults on demand, the token, the handler, and a note if it is refused."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from mnistkit.emulator.faults import Faults
from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.server import ConnectionCut
from mnistkit.emulator.tokens import Tokens

__all__ = ["Dispatcher"]

_logger = logging.getLogger(__name__)


class Finder(Protocol):
    """Finds routes: a router, or what chooses one."""

    def find(self, request: Request) -> tuple[Route, dict[str, str]] | None:
        """Return the route of a request and the parts of its path; None if there is no route."""


class Dispatcher:
    """Answers requests by a router's routes.

    Attributes:
        router: None while there is no workspace: connections are cut then.
        faults: Those on demand.
        unknown: The requests beyond the emulator's limits so far.
    """

    def __init__(self, tokens: Tokens, faults: Faults) -> None:
        self._tokens = tokens
        self.router: Finder | None = None
        self.faults = faults
        self.unknown: list[str] = []

    def admit(self, request: Request) -> int:
        """Return how many bytes a request's body may have, once its route and its token are right.

        Raises:
            Refusal: It is refused, whatever its body is.
        """
        try:
            route, _ = self._find(request)
            if not route.is_open:
                self._tokens.check(request)
        except NotEmulated as refusal:
            self._note(request, refusal)
            raise
        except (Refusal, ConnectionCut):
            raise
        except Exception:
            _logger.exception("%s %s%s can't be admitted.", request.method, request.host, request.path)
            raise _bug() from None
        return route.max_bytes

    def answer(self, request: Request) -> Response:
        """Return the response to a request.

        Raises:
            ConnectionCut: It gets none.
        """
        start = time.monotonic()
        try:
            response: Response | None = self._handle(request)
        except Refusal as refusal:
            if isinstance(refusal, NotEmulated):
                self._note(request, refusal)
            response = refusal.response()
        except Exception:
            if self.router is None:  # it stops, and the store is closed
                raise ConnectionCut from None
            _logger.exception("%s %s%s can't be answered.", request.method, request.host, request.path)
            response = _bug().response()
        if response is not None:
            response = self.faults.after(request, response)
        status = response.status if response else "cut"
        seconds = time.monotonic() - start
        _logger.debug("%s %s%s: %s, %.3f s", request.method, request.host, request.path, status, seconds)
        if response is None:
            raise ConnectionCut
        return response

    def refuse(self, target: str, reason: str) -> None:
        """Note a request to a host that the emulator doesn't stand in for."""
        self._add(f"{target}: {reason}")

    def _handle(self, request: Request) -> Response:
        route, parts = self._find(request)
        self.faults.before(request)
        if not route.is_open:
            self._tokens.check(request)
        return route.handler(request, **parts)

    def _find(self, request: Request) -> tuple[Route, dict[str, str]]:
        router = self.router
        if router is None:
            raise ConnectionCut
        found = router.find(request)
        if found is None:
            raise NotEmulated("services", f"{request.method} {request.path} isn't emulated.", status=501)
        return found

    def _note(self, request: Request, refusal: NotEmulated) -> None:
        target = f"{request.method} {request.host}{request.path}"
        self._add(target if refusal.status == 501 else f"{target}: {refusal.message}")  # noqa: PLR2004 - HTTP's own number

    def _add(self, text: str) -> None:
        self.unknown.append(text)
        _logger.warning("This isn't emulated: %s", text)


def _bug() -> Refusal:
    return Refusal(500, "The emulator has a bug; its log says more.")
