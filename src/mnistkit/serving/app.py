"""The routes of the server, as a Flask application. Needs the extra ``serve``."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import flask
from attrs import define, field
from numpy.typing import NDArray
from werkzeug.exceptions import HTTPException

from mnistkit.errors import MissingExtraError
from mnistkit.jobs.environment import library_versions
from mnistkit.serving.addresses import names_loopback
from mnistkit.serving.admission import Admission
from mnistkit.serving.current import CurrentModel
from mnistkit.serving.images import encode_png, image_row, prepare_image
from mnistkit.serving.limits import ServerLimits
from mnistkit.serving.metrics import ServerMetrics
from mnistkit.serving.model import ServedModel
from mnistkit.serving.openapi import openapi_document
from mnistkit.serving.schema import RequestError, invocation_rows, score_rows

__all__ = ["ServingApp"]

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 1
_IMAGE_TYPES = {"image/png", "image/jpeg", "application/octet-stream"}
_OPEN_ENDPOINTS = {"page", "static", "health", "ready", "openapi"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Rows = Callable[[bytes, ServedModel, ServerLimits], "NDArray[Any]"]


@define
class ServingApp:
    """The routes, and what they share.

    Attributes:
        current: The served model.
        limits: What is accepted.
        token: The bearer token that clients must send; empty for none.
        is_ready: Becomes True when the server has answered its recorded probe.
    """

    current: CurrentModel
    limits: ServerLimits
    token: str = ""
    is_ready: bool = False
    metrics: ServerMetrics = field(factory=ServerMetrics)
    admission: Admission = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.admission = Admission(self.limits)

    def wsgi(self) -> flask.Flask:
        """Return the application."""
        app = flask.Flask("mnistkit.serving", static_folder="static", static_url_path="/static")
        app.config["MAX_CONTENT_LENGTH"] = self.limits.max_body_bytes
        app.config["MAX_FORM_MEMORY_SIZE"] = self.limits.max_body_bytes
        app.url_map.merge_slashes = False  # or a path with two of them would be redirected
        for path, name, view in (
            ("/", "page", lambda: app.send_static_file("page.html")),
            ("/health", "health", lambda: flask.jsonify(status="alive")),
            ("/ready", "ready", self._ready),
            ("/version", "version", self._version),
            ("/metrics", "metrics", self._metrics),
            ("/openapi.json", "openapi", lambda: flask.jsonify(openapi_document(self.limits))),
        ):
            app.add_url_rule(path, name, view, methods=["GET"])
        for path, name, post in (
            ("/score", "score", self._score),
            ("/invocations", "invocations", self._invocations),
            ("/predict", "predict", self._predict),
        ):
            app.add_url_rule(path, name, self._limited(post), methods=["POST"])
        app.before_request(self._before)
        app.after_request(self._after)
        app.register_error_handler(Exception, _error)
        return app

    def _before(self) -> None:
        flask.g.began = time.perf_counter()
        if not self.token:
            # A web page elsewhere can have a name of its own point to 127.0.0.1, and then read what is served there.
            if not names_loopback(flask.request.host):
                raise RequestError(403, "Without a token the server is for this machine: use 127.0.0.1 or localhost.")
            return
        if flask.request.endpoint in _OPEN_ENDPOINTS:
            return
        given = flask.request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            raise RequestError(401, "Send the server's token, as the header 'Authorization: Bearer TOKEN'.")

    def _after(self, response: flask.Response) -> flask.Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        version = flask.g.get("model", self.current.model).version
        response.headers["X-Model-Name"] = version.name
        response.headers["X-Model-Version"] = str(version.version)
        response.headers["X-Model-Digest"] = version.digest
        seconds = time.perf_counter() - flask.g.get("began", time.perf_counter())
        self.metrics.count_request(flask.request.endpoint or "other", response.status_code, seconds)
        return response

    def _limited(self, view: Callable[[ServedModel], flask.Response]) -> Callable[[], flask.Response]:
        """Return a view that waits for its turn, and is answered by one version from end to end."""

        def limited() -> flask.Response:
            if flask.request.content_encoding:
                raise RequestError(415, "Send the body as it is, without Content-Encoding.")
            with self.admission.turn():  # also while the body is parsed, which is most of the work
                flask.g.model = self.current.model
                return view(flask.g.model)

        return limited

    def _score(self, model: ServedModel) -> flask.Response:
        X = self._rows(score_rows, model)
        labels = self._labels(model, X)
        if not _flag("proba"):
            return flask.jsonify(labels)
        return flask.jsonify(labels=labels, classes=list(model.classes), probabilities=_plain(model.probabilities(X)))

    def _invocations(self, model: ServedModel) -> flask.Response:
        return flask.jsonify(predictions=self._labels(model, self._rows(invocation_rows, model)))

    def _predict(self, model: ServedModel) -> flask.Response:
        image = prepare_image(_image_body(), model, self.limits)
        X = image_row(image, model)
        (label,) = self._labels(model, X)
        found = model.probabilities(X)
        names = model.names()
        answer: dict[str, Any] = {
            "label": label,
            "name": names[model.classes.index(label)] if label in model.classes else str(label),
            "classes": names,
            "probabilities": None if found is None else found[0].tolist(),
        }
        if _flag("seen"):
            answer["seen"] = encode_png(image)
        return flask.jsonify(answer)

    def _rows(self, parse: Rows, model: ServedModel) -> NDArray[Any]:
        if flask.request.mimetype != "application/json":
            raise RequestError(415, "Send JSON, with the header 'Content-Type: application/json'.")
        return parse(flask.request.get_data(cache=False), model, self.limits)

    def _labels(self, model: ServedModel, X: NDArray[Any]) -> list[Any]:
        labels = model.labels(X)
        self.metrics.count_labels(str(model.version.version), labels)
        return labels

    def _ready(self) -> tuple[flask.Response, int]:
        return flask.jsonify(status="ready" if self.is_ready else "starting"), 200 if self.is_ready else 503

    def _version(self) -> flask.Response:
        model = self.current.model
        flask.g.model, version = model, model.version
        spec = model.input
        return flask.jsonify(
            model=version.name,
            version=version.version,
            digest=version.digest,
            reference=str(self.current.ref),
            registered=version.created_at.isoformat(),
            format=version.format,
            description=version.description,
            metrics=dict(version.metrics),
            classes=model.names(),
            features=model.n_features,
            maximum=model.maximum,
            image=None if spec is None else {"height": spec.height, "width": spec.width},
            dataset=spec.dataset if spec else "",
            light_ground=model.has_light_ground,
            problem=self.current.problem,
            libraries=library_versions(),
            trained_with=dict(version.versions),
        )

    def _metrics(self) -> flask.Response:
        version = self.current.model.version
        labels = f'{{model="{version.name}",version="{version.version}",digest="{version.digest}"}}'
        gauges = (
            ("mnistkit_model_info", "gauge", labels, 1),
            ("mnistkit_model_switches_total", "counter", "", self.current.n_switches),
            ("mnistkit_model_switch_failures_total", "counter", "", self.current.n_failures),
            ("mnistkit_waiting_requests", "gauge", "", self.admission.n_waiting),
            ("mnistkit_ready", "gauge", "", int(self.is_ready)),
        )
        return flask.Response(self.metrics.render(gauges), content_type="text/plain; version=0.0.4; charset=utf-8")


def _image_body() -> bytes:
    """Return the image file: the body itself, or the one file of a form."""
    kind = flask.request.mimetype
    if kind == "multipart/form-data":
        files = [file for _, file in flask.request.files.items(multi=True)]
        if len(files) != 1:
            raise RequestError(422, f"The form has {len(files)} files: send one.")
        data: bytes = files[0].stream.read()
        return data
    if kind not in _IMAGE_TYPES:
        raise RequestError(415, f"Send a file as {', '.join(sorted(_IMAGE_TYPES))} or multipart/form-data.")
    return flask.request.get_data(cache=False)


def _flag(name: str) -> bool:
    value = flask.request.args.get(name, "0")
    if value not in {"0", "1"}:
        raise RequestError(422, f"{name}={value[:20]!r}: use 0 or 1.")
    return value == "1"


def _plain(values: NDArray[Any] | None) -> Sequence[Any] | None:
    return None if values is None else values.tolist()


def _error(error: Exception) -> flask.Response:
    """Return any error as JSON; what is no fault of the client's is in the log, not in the answer."""
    if isinstance(error, RequestError):
        status, message = error.status, str(error)
    elif isinstance(error, HTTPException):
        status, message = error.code or 500, f"{error.name}: {error.description}"
    elif isinstance(error, MissingExtraError):
        status, message = 501, str(error)
    else:
        _log.exception("%s %s failed", flask.request.method, flask.request.path)
        status, message = 500, "The server failed to answer. Its log has the reason."
    response = flask.jsonify(error=message, status=status)
    response.status_code = status
    if status == 503:  # noqa: PLR2004 - Service Unavailable
        response.headers["Retry-After"] = str(_RETRY_SECONDS)
    if status == 401:  # noqa: PLR2004 - Unauthorized
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, HTTPException) and getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))  # type: ignore[attr-defined]
    return response
