"""Artifacts: the files of runs and models, by origin, container and path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import body_of, flag, list_of, now, number, page
from mnistkit.emulator.routing import MAX_FILE_BYTES, Handler, Refusal, Request, Response, Route
from mnistkit.emulator.services.blob_files import ARTIFACT_CONTAINER, alias_of
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.store import Store
from mnistkit.emulator.workspace import Workspace

__all__ = ["CONTAINER", "ORIGIN", "Artifacts", "container_of"]

CONTAINER = ARTIFACT_CONTAINER
_PAGE_SIZE = 500
ORIGIN = "ExperimentRun"  # of the files of runs


def container_of(run_id: str) -> str:
    """Return the container of a run's artifacts."""
    return f"dcid.{run_id}"


class Artifacts:
    """All artifacts of a workspace; their content is in blobs."""

    def __init__(self, workspace: Workspace, store: Store, blobs: Blobs) -> None:
        self._table = store.table("artifacts")
        self._blobs = blobs
        self._lock = store.lock

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        base = "/artifact/v2.0{scope}/artifacts"
        found = [
            Route("POST", f"{base}/batch/metadata/{{origin}}/{{container}}", self._make),
            Route("POST", f"{base}/metadata", self._make_one),
            Route("GET", f"{base}/metadata/{{origin}}/{{container}}/{{path*}}", self._show),
            Route("DELETE", f"{base}/metadata/{{origin}}/{{container}}/{{path*}}", self._delete),
            Route("GET", f"{base}/prefix/contentinfo/{{origin}}/{{container}}/{{path*}}", self._list_urls),
            Route("GET", f"{base}/prefix/contentinfo/{{origin}}/{{container}}", self._list_urls),
            Route("GET", f"{base}/contentinfo/{{origin}}/{{container}}/{{path*}}", self._url),
            Route("GET", f"{base}/write/{{origin}}/{{container}}/{{path*}}", self._url_to_write),
            Route("GET", f"{base}/content/{{origin}}/{{container}}/{{path*}}", self._download),
            Route("POST", f"{base}/content/{{origin}}/{{container}}/{{path*}}", self._upload, max_bytes=MAX_FILE_BYTES),
            Route("GET", f"{base}/{{origin}}/{{container}}", self._list),
        ]
        one = f"{base}/{{origin}}/{{container}}"  # as newer clients ask: with the path in the query
        found += [
            Route("POST", f"{one}/batch/metadata", self._make),
            Route("GET", f"{one}/metadata", _by_query(self._show)),
            Route("DELETE", f"{one}/metadata", _by_query(self._delete)),
            Route("GET", f"{one}/contentinfo", _by_query(self._url)),
            Route("GET", f"{one}/write", _by_query(self._url_to_write)),
            Route("GET", f"{one}/content", _by_query(self._download)),
            Route("POST", f"{one}/content", _by_query(self._upload), max_bytes=MAX_FILE_BYTES),
            Route("GET", f"{one}/prefix/contentinfo", self._list_urls),
        ]
        for name in ("experiments", "experimentids"):
            run = f"/history/v1.0{{scope}}/{name}/{{experiment}}/runs/{{run}}/artifacts"
            found += [
                Route("GET", run, self._of_run(self._list)),
                Route("POST", f"{run}/batch/metadata", self._of_run(self._make)),
                Route("GET", f"{run}/path/{{path*}}", self._of_run(self._list)),
                Route("GET", f"{run}/contentinfo/{{path*}}", self._of_run(self._url)),
                Route("GET", f"{run}/contentinfo", self._of_run(_by_query(self._url))),
                Route("GET", f"{run}/artifacturi/{{path*}}", self._of_run(self._url)),
                Route("GET", f"{run}/prefix/contentinfo/{{path*}}", self._of_run(self._list_urls)),
                Route("GET", f"{run}/prefix/contentinfo", self._of_run(self._list_urls)),
            ]
        return found

    def put(self, origin: str, container: str, path: str, file: Path) -> None:
        """Keep a copy of a file as an artifact, in the place of any other of that path."""
        key = self._key(origin, container, path)
        self._blobs.add_file(CONTAINER, key, file)
        self._note(key)

    def link(self, origin: str, container: str, path: str, file: Path) -> None:
        """Keep a file that never changes as an artifact, without a copy of its content where possible."""
        key = self._key(origin, container, path)
        self._blobs.link_file(CONTAINER, key, file)
        self._note(key)

    def open_log(self, origin: str, container: str, path: str) -> Path:
        """Make an empty artifact; return its file, to be written to while others read the artifact.

        It is listed once it holds something: clients ask for a range of its content, which an empty blob doesn't have,
        and the SDK then prints a traceback.
        """
        key = self._key(origin, container, path)
        file = self._blobs.open_log(CONTAINER, key)
        self._note(key, isLog=True)
        return file

    def paths(self, origin: str, container: str, prefix: str = "") -> list[str]:
        """Return the paths of a container's artifacts that begin with ``prefix``, sorted."""
        start = f"{origin}/{container}/"
        found = [key for key in self._table if key.startswith(start + prefix) and not self._is_empty_log(key)]
        return sorted(key[len(start) :] for key in found)

    def _is_empty_log(self, key: str) -> bool:
        return bool(self._table.view(key).get("isLog")) and not self._blobs.file(CONTAINER, key).stat().st_size

    def file(self, origin: str, container: str, path: str) -> Path:
        """Return the file that holds an artifact's content; not to be changed.

        Raises:
            Refusal: 404: there is none.
        """
        return self._blobs.file(CONTAINER, self._find(origin, container, path))

    def url(self, origin: str, container: str, path: str, permissions: str = "r") -> str:
        """Return a signed URL of an artifact's content.

        Raises:
            Refusal: 404: there is none.
        """
        return self._blobs.url(CONTAINER, alias_of(self._find(origin, container, path)), permissions)

    def delete(self, origin: str, container: str) -> None:
        """Delete all artifacts of a container; idempotent."""
        for path in self.paths(origin, container):
            self._drop(f"{origin}/{container}/{path}")

    # What clients ask

    def _of_run(self, handler: Any) -> Any:
        def answer(request: Request, run: str, experiment: str, **parts: str) -> Response:  # noqa: ARG001 - a run's id is enough
            response: Response = handler(request, origin=ORIGIN, container=f"dcid.{run}", **parts)
            return response

        return answer

    def _make(self, request: Request, origin: str, container: str) -> Response:
        asked = [str(each.get("path")) for each in list_of(body_of(request, "paths"), "paths", dict)]
        for path in asked:
            _normal(path)  # all or none
        facts: dict[str, Any] = {}
        urls: dict[str, Any] = {}
        for path in asked:
            self._note(self._key(origin, container, path))
            facts[path] = self._facts(origin, container, path)
            urls[path] = self._content(origin, container, path, "rcw")
        return Response.json({"artifacts": facts, "artifactContentInformation": urls, "errors": {}})

    def _make_one(self, request: Request) -> Response:
        asked = body_of(request, needs=("origin", "container", "path"))
        origin, container, path = (str(asked[key]) for key in ("origin", "container", "path"))
        self._note(self._key(origin, container, path))
        return Response.json(self._facts(origin, container, path))

    def _show(self, request: Request, origin: str, container: str, path: str) -> Response:
        self._find(origin, container, path)
        return Response.json(self._facts(origin, container, path))

    def _delete(self, request: Request, origin: str, container: str, path: str) -> Response:
        self._drop(self._find(origin, container, path))
        return Response.json({})

    def _url(self, request: Request, origin: str, container: str, path: str) -> Response:
        self._find(origin, container, path)
        return Response.json(self._content(origin, container, path, "r"))

    def _url_to_write(self, request: Request, origin: str, container: str, path: str) -> Response:
        self._note(self._key(origin, container, path))
        return Response.json(self._content(origin, container, path, "racw"))

    def _list(self, request: Request, origin: str, container: str, path: str = "") -> Response:
        prefix = path or request.query.get("path", "")
        found = [self._facts(origin, container, each) for each in self.paths(origin, container, prefix)]
        return _page(request, found)

    def _list_urls(self, request: Request, origin: str, container: str, path: str = "") -> Response:
        prefix = path or request.query.get("path", "")
        found = [self._content(origin, container, each, "r") for each in self.paths(origin, container, prefix)]
        return _page(request, found)

    def _download(self, request: Request, origin: str, container: str, path: str) -> Response:
        body = self.file(origin, container, path).read_bytes()
        return Response(body=body, content_type="application/octet-stream")

    def _upload(self, request: Request, origin: str, container: str, path: str) -> Response:
        if flag(request, "append") or number(request, "index", 0):
            raise NotEmulated("artifacts", "This emulator doesn't append to artifacts; upload the whole content.")
        key = self._key(origin, container, path)
        self._blobs.write(CONTAINER, key, request.open())
        self._note(key)
        return Response.json(self._facts(origin, container, path))

    # What there is

    def _key(self, origin: str, container: str, path: str) -> str:
        if "/" in origin or "/" in container:
            raise Refusal(400, f"{origin!r} and {container!r} can't be an artifact's origin and container.")
        return f"{origin}/{container}/{_normal(path)}"

    def _note(self, key: str, **facts: Any) -> None:
        """List an artifact, whose content is there by then: clients read what they see in a list."""
        with self._lock:
            self._table[key] = {"createdTime": now()} | self._table.get(key, {}) | facts

    def _find(self, origin: str, container: str, path: str) -> str:
        key = f"{origin}/{container}/{_normal(path)}"
        if key not in self._table:
            raise Refusal(404, f"Artifact {path!r} was not found in {origin}/{container}.", code="NotFound")
        return key

    def _drop(self, key: str) -> None:
        with self._lock:
            del self._table[key]
            if key in self._blobs.names(CONTAINER, key):
                self._blobs.delete(CONTAINER, key)

    def _facts(self, origin: str, container: str, path: str) -> dict[str, Any]:
        key = f"{origin}/{container}/{_normal(path)}"
        about = {"artifactId": key, "origin": origin, "container": container, "path": path}
        created = self._table.get(key, {}).get("createdTime")
        return about | {"etag": None, "dataPath": None, "tags": None, "createdTime": created}

    def _content(self, origin: str, container: str, path: str, permissions: str) -> dict[str, Any]:
        url = self._blobs.url(CONTAINER, alias_of(f"{origin}/{container}/{_normal(path)}"), permissions)
        return {"contentUri": url, "origin": origin, "container": container, "path": path, "tags": None}


def _by_query(handler: Handler) -> Handler:
    """Return a handler that gets the artifact's path from the query."""

    def handle(request: Request, **parts: str) -> Response:
        path = request.query.get("path", "")
        if not path:
            raise Refusal(400, "The query has no 'path'.")
        return handler(request, path=path, **parts)

    return handle


def _page(request: Request, found: list[dict[str, Any]]) -> Response:
    token = request.query.get("continuationToken") or request.query.get("$continuationToken") or ""
    items, following = page(found, size=number(request, "$top", _PAGE_SIZE), token=token)
    return Response.json({"value": list(items), "continuationToken": following, "nextLink": None})


def _normal(path: str) -> str:
    """Return the path as it is kept: ``./outputs//x`` is ``outputs/x``.

    Raises:
        Refusal: 400: it is absolute, or leads out of its container when it is downloaded.
    """
    parts = [part for part in path.replace("\\", "/").split("/") if part not in {"", "."}]
    if not parts or ".." in parts or path.startswith(("/", "\\")) or ":" in parts[0] or "\0" in path:
        raise Refusal(400, f"{path!r} can't be an artifact's path.", code="InvalidArtifactPath")
    return "/".join(parts)
