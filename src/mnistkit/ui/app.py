"""The routes of the local pages, as a Flask application. Needs the extra ``ui``."""

from __future__ import annotations

import logging
import threading
from typing import Any
from urllib.parse import quote

import flask
from attrs import define, field
from werkzeug.exceptions import HTTPException

from mnistkit.errors import MnistkitError, NotFoundError, UsageError
from mnistkit.reports.overview import script_text, style_text
from mnistkit.reports.page import render_template
from mnistkit.trainer.trainer import Trainer
from mnistkit.ui.access import Access
from mnistkit.ui.listing import Body, RunListing, RunListQuery, encode_json, series_of
from mnistkit.ui.pages import PageValues
from mnistkit.ui.plain import log_data, record_data
from mnistkit.utils.markup import STATE_COLOURS
from mnistkit.utils.text import safe

__all__ = ["UiApp"]

_log = logging.getLogger(__name__)
_PACKAGE = "mnistkit.ui"
_MAX_FORM_BYTES = 1 << 16
_MAX_FIELD_CHARS = 2_000
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox allow-popups"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # without a referrer, a form would come with the origin "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_SCRIPTS = {"runs.html": ("live.js", "runs.js"), "run.html": ("live.js", "run.js")}


@define(eq=False)
class UiApp:
    """The routes, and what they share.

    Attributes:
        trainer: Whose runs, models and data are shown.
        access: What each request is checked by.
        allow_changes: Whether aliases may be promoted and rolled back.
        port: Where the server listens; set once it does.
    """

    trainer: Trainer
    access: Access
    allow_changes: bool = False
    port: int = 0
    _listing: RunListing = field(init=False)
    _values: PageValues = field(init=False)
    _heavy: threading.Lock = field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._listing = RunListing(self.trainer.compute)
        self._values = PageValues(self.trainer)

    def wsgi(self) -> flask.Flask:
        """Return the application."""
        app = flask.Flask("mnistkit.ui", static_folder="static", static_url_path="/static")
        app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = _MAX_FORM_BYTES
        app.url_map.merge_slashes = False
        for path, view in (
            ("/", self._runs_page),
            ("/runs/<run_id>", self._run_page),
            ("/runs/<run_id>/report", self._report),
            ("/sweeps", self._sweeps_page),
            ("/sweep", self._runs_page),
            ("/compare", self._compare_page),
            ("/models", self._models_page),
            ("/models/<name>", self._model_page),
            ("/data", self._data_page),
            ("/dataset", self._dataset_page),
            ("/api/runs", self._runs),
            ("/api/series", self._series),
            ("/api/runs/<run_id>", self._run),
            ("/api/runs/<run_id>/log", self._run_log),
            ("/assets/style.css", self._style),
            ("/assets/overview.js", self._script),
        ):
            app.add_url_rule(path, path, view, methods=["GET"])
        for path, change in (
            ("/runs/<run_id>/cancel", self._cancel),
            ("/models/<name>/promote", self._promote),
            ("/models/<name>/rollback", self._roll_back),
        ):
            app.add_url_rule(path, path, change, methods=["POST"])
        app.before_request(self._check)
        app.after_request(_add_headers)
        app.register_error_handler(Exception, self._error)
        return app

    def _check(self) -> Any:
        """Return what is answered instead of the page; None if the request may pass."""
        request = flask.request
        if not self.access.is_own_host(request.host, self.port):
            return self._message("Refused", "These pages are for this machine: use the address that was printed.", 403)
        if not self.access.is_own_request(
            method=request.method,
            host=request.host,
            origin=request.headers.get("Origin"),
            site=request.headers.get("Sec-Fetch-Site"),
            mode=request.headers.get("Sec-Fetch-Mode"),
        ):
            return self._message("Refused", "Another page began this request.", 403)
        cookie = self.access.cookie_name(self.port)
        if request.method == "GET" and self.access.is_token(request.args.get("token", "")):
            rest = {key: value for key, value in request.args.items() if key != "token"}
            path = quote(f"/{request.path.lstrip('/')}")  # two slashes would lead to another host
            query = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in rest.items())
            response = flask.redirect(path + (f"?{query}" if query else ""), 303)
            response.set_cookie(cookie, self.access.session, httponly=True, samesite="Lax")
            return response
        if not self.access.is_session(request.cookies.get(cookie, "")):
            return self._message(
                "Which browser is this?",
                "Open the address that 'mnistkit ui' printed, with its token: it lets this browser in.",
                403,
            )
        return None

    def _runs_page(self) -> str:
        sweep = flask.request.args.get("name", "") if flask.request.path == "/sweep" else ""
        texts = {name: flask.request.args.get(name, "")[:_MAX_FIELD_CHARS] for name in ("where", "sort", "columns")}
        return self._page("runs.html", f"Sweep {sweep}" if sweep else "Runs", "sweeps" if sweep else "runs",
                          sweep=sweep, texts=texts, is_wide=True)  # fmt: skip

    def _run_page(self, run_id: str) -> str:
        record = self.trainer.compute.get(run_id)
        return self._page("run.html", f"Run {record.id}", "runs", run=record.id, is_finished=record.state.is_terminal)

    def _report(self, run_id: str) -> flask.Response:
        with self._heavy:
            response = flask.Response(self._values.report(run_id), content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = _REPORT_POLICY
        return response

    def _sweeps_page(self) -> str:
        return self._page("sweeps.html", "Sweeps", "sweeps", sweeps=self._values.sweeps(), is_wide=True)

    def _compare_page(self) -> str:
        run_ids, with_test = flask.request.args.getlist("run"), flask.request.args.get("test") == "1"
        with self._heavy:
            summary = self._values.comparison(run_ids, predictions=with_test)
        return self._page("compare.html", "Comparison", "runs", summary=summary, run_ids=run_ids, with_test=with_test,
                          is_wide=True)  # fmt: skip

    def _models_page(self) -> str:
        return self._page("models.html", "Models", "models", models=self._values.models(), is_wide=True)

    def _model_page(self, name: str) -> str:
        model = self._values.model(name)
        return self._page("model.html", f"Model {name}", "models", model=model, allow_changes=self.allow_changes,
                          is_wide=True)  # fmt: skip

    def _data_page(self) -> str:
        return self._page("datasets.html", "Data", "data", datasets=self._values.datasets())

    def _dataset_page(self) -> str:
        uri = flask.request.args.get("uri", "")
        with self._heavy:
            summary, samples = self._values.dataset(uri)
        return self._page("dataset.html", summary.title, "data", summary=summary, samples=samples)

    def _runs(self) -> Any:
        given = {name: flask.request.args.get(name, "") for name in ("where", "sort", "columns", "sweep")}
        return _json(self._listing.body(RunListQuery(**given)))

    def _series(self) -> Any:
        return _json(encode_json(series_of(self.trainer.compute, flask.request.args.getlist("run"))))

    def _run(self, run_id: str) -> Any:
        return _json(encode_json(record_data(self.trainer.compute.get(run_id))))

    def _run_log(self, run_id: str) -> Any:
        start = flask.request.args.get("start", 0, type=int)
        is_finished = self.trainer.compute.get(run_id).state.is_terminal  # first, or its last lines could be missed
        text = self.trainer.compute.logs(run_id, start=max(start, 0))
        return _json(encode_json(log_data(text, max(start, 0), is_complete=is_finished)))

    def _cancel(self, run_id: str) -> Any:
        self.trainer.run(run_id).cancel()
        return flask.redirect(f"/runs/{quote(run_id, safe='')}", 303)

    def _promote(self, name: str) -> Any:
        self._require_changes()
        self._values.promote(name, _field("version"), _field("alias"), _field("reason"))
        return flask.redirect(f"/models/{quote(name, safe='')}", 303)

    def _roll_back(self, name: str) -> Any:
        self._require_changes()
        self._values.roll_back(name, _field("alias"), _field("reason"))
        return flask.redirect(f"/models/{quote(name, safe='')}", 303)

    def _require_changes(self) -> None:
        if not self.allow_changes:
            flask.abort(403, "These pages only show models. Start them with --allow-changes to promote and roll back.")

    def _style(self) -> flask.Response:
        states = "".join(f".state-{name} {{ background: {colour}; }}\n" for name, colour in STATE_COLOURS.items())
        return flask.Response(style_text() + states, content_type="text/css; charset=utf-8")

    def _script(self) -> flask.Response:
        return flask.Response(script_text(), content_type="text/javascript; charset=utf-8")

    def _page(self, template: str, title: str, place: str, *, is_wide: bool = False, **values: Any) -> str:
        scripts = _SCRIPTS.get(template, ())
        return render_template(template, _PACKAGE, title=title, place=place, is_wide=is_wide, scripts=scripts, **values)

    def _message(self, title: str, text: str, status: int) -> Any:
        if flask.request.path.startswith("/api/"):
            return flask.make_response(flask.jsonify(error=safe(text), status=status), status)
        return flask.make_response(self._page("message.html", title, "", text=text), status)

    def _error(self, error: Exception) -> Any:
        """Return any error as a page, or as JSON; an unexpected one is in the log, not in the answer."""
        if isinstance(error, HTTPException):
            response = self._message(error.name, error.description or "", error.code or 500)
            if valid := getattr(error, "valid_methods", None):
                response.headers["Allow"] = ", ".join(sorted(valid))
            return response
        if isinstance(error, NotFoundError):
            return self._message("Not found", str(error), 404)
        if isinstance(error, MnistkitError):
            return self._message("That can't be done", str(error), 400 if isinstance(error, UsageError) else 409)
        _log.exception("%s %s failed", flask.request.method, flask.request.path)
        return self._message("It failed", "The server failed to answer: its terminal shows the reason.", 500)


def _add_headers(response: flask.Response) -> flask.Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _json(body: Body) -> Any:
    """Return JSON, or the status 304 if the page has it already."""
    etag, data = body
    response = flask.Response(data, content_type="application/json")
    response.set_etag(etag)
    return response.make_conditional(flask.request)


def _field(name: str) -> str:
    value = flask.request.form.get(name, "").strip()
    if len(value) > _MAX_FIELD_CHARS:
        raise UsageError(f"{name} has {len(value)} characters: write at most {_MAX_FIELD_CHARS}.")
    return value
