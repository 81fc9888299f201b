"""Data of other accounts and hosts: served from folders that the user named, else refused at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.routing import Handler, Refusal, Request, Response, Route
from mnistkit.emulator.services.public_files import container_response, file_response, is_listing
from mnistkit.emulator.settings import Settings, folder_file

__all__ = ["ProvidedData"]

_ACCOUNTS_DOMAIN = ".blob.core.windows.net"
_STORAGE_HOSTS = (
    f"*{_ACCOUNTS_DOMAIN}",
    "*.dfs.core.windows.net",
    "*.file.core.windows.net",
    "*.azurefd.net",
    "*.azureedge.net",
)


class ProvidedData:
    """The files that ``Settings.blobs`` and ``Settings.web`` name; read-only, and open to every client.

    Its routes come last: they match every storage account but the workspace's own.
    """

    def __init__(self, settings: Settings) -> None:
        self._blobs, self._web, self._web_hosts = settings.blobs, settings.web, settings.hosts

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        found = []
        for place in self._web:
            host, _, path = place.partition("/")
            base = f"/{path}" if path else ""
            found.append(Route("GET|HEAD", f"{base}/{{file*}}", self._web_file(place), host=host, is_open=True))
        for host in _STORAGE_HOSTS:
            found.append(Route("GET|HEAD", "/{container}", self._container, host=host, is_open=True))
            found.append(Route("GET|HEAD", "/{container}/{blob*}", self._blob, host=host, is_open=True))
            methods = "GET|HEAD|PUT|POST|DELETE|PATCH|OPTIONS"
            found += [Route(methods, path, self._refuse, host=host, is_open=True) for path in ("/", "/{path*}")]
        for host in self._web_hosts:
            found += [Route("GET|HEAD", path, self._refuse, host=host, is_open=True) for path in ("/", "/{path*}")]
        return found

    def _web_file(self, place: str) -> Handler:
        def handle(request: Request, file: str) -> Response:
            found = folder_file(self._web[place], file)
            if found is None:
                raise Refusal(404, f"{self._web[place]} has no file {file!r}.", code="NotFound")
            return file_response(request, found)

        return handle

    def _container(self, request: Request, container: str) -> Response:
        folder = self._blobs.get(self._place(request, container))
        if folder is None and is_listing(request):
            raise self._missing(request, container, status=400)  # the engine shows its text then
        # A container that isn't there is called public as well: the SDK's data engine would otherwise log in somewhere
        # else, in a browser, and try that for minutes.
        return container_response(request, container, _files(folder) if folder else ())

    def _blob(self, request: Request, container: str, blob: str) -> Response:
        folder = self._blobs.get(self._place(request, container))
        if folder is None:
            raise self._missing(request, container)
        file = folder_file(folder, blob)
        if file is None:
            headers = {"x-ms-error-code": "BlobNotFound"}
            raise Refusal(404, f"{folder} has no file {blob!r}.", code="BlobNotFound", headers=headers)
        return file_response(request, file)

    def _refuse(self, request: Request, path: str = "") -> Response:
        container = path.partition("/")[0]
        if request.method in {"GET", "HEAD"} or self._place(request, container) not in self._blobs:
            raise self._missing(request, container or "CONTAINER")
        raise NotEmulated("data", f"{request.host} is provided by a folder here, which isn't written to.", status=403)

    @staticmethod
    def _place(request: Request, container: str) -> str:
        return f"{request.host.partition('.')[0]}/{container}"

    def _missing(self, request: Request, container: str, status: int = 404) -> NotEmulated:
        if request.host.endswith(_ACCOUNTS_DOMAIN):
            option = f"--blob {self._place(request, container)}=FOLDER"
        else:
            option = f"--web {request.host}/{container}=FOLDER"
        message = f"This emulator has no data of {request.host}/{container}; {option} serves a folder in its place."
        return NotEmulated("data", message, status=status, headers={"x-ms-error-code": "ContainerNotFound"})


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for above, _, names in os.walk(folder):
        for name in names:
            path = Path(above, name).relative_to(folder).as_posix()
            file = folder_file(folder, path)
            if file is not None:
                yield path, file
