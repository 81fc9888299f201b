"""The pages and their JSON: what they show, as text, and how they change."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from mnistkit.ui.plain import log_data
from support.pages import Report
from support.ui import HOSTILE_TEXTS, TRAP, Visitor

TAGS = {"link", "script", "form", "label", "input", "button", "select", "option", "noscript", "a"}


class LivePage(Report):
    """A page of ours: it has scripts and forms, all from this server."""

    def __init__(self, text: str) -> None:
        self.scripts: list[str] = []
        super().__init__(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag in {"link", "input"}:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if self._open[-1:] == ["script"]:
            self.scripts.append(data)

    def check(self) -> None:
        """Fail if anything runs that isn't a file of ours, or if hostile text became an element."""
        for tag, attributes in self.tags:
            assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
            assert tag not in {"iframe", "object", "embed"}
            for name in ("src", "href", "action"):
                value = attributes.get(name) or "/"
                assert value.startswith(("/", "#", "data:")), (tag, value)
                assert not value.startswith("//")
            assert tag != "script" or (attributes.get("src") or "").startswith(("/assets/", "/static/"))
            assert tag != "img" or (attributes.get("src") or "").startswith("data:image/png;base64,")
        assert "".join(self.scripts).strip() == ""


def paths(trainer: Any) -> list[str]:
    """The address of every page."""
    first, second = (row.id for row in trainer.runs().rows[:2])
    sweep = next(row.tags["sweep"] for row in trainer.runs().rows if "sweep" in row.tags)
    return [
        "/", "/?where=" + quote(HOSTILE_TEXTS[0]), "/sweeps", f"/sweep?name={quote(sweep)}", f"/runs/{first}",
        f"/runs/{second}", f"/compare?run={first}&run={second}", "/models", "/models/digits", "/data",
        f"/dataset?uri={quote(trainer.data.uri)}", "/nowhere" + quote(HOSTILE_TEXTS[-1].replace("/", "")),
        "/dataset?uri=" + quote(HOSTILE_TEXTS[-2]), "/runs/" + quote(HOSTILE_TEXTS[-2].replace("/", ""), safe=""),
    ]  # fmt: skip


def test_hostile_texts_are_text(visitor: Visitor, trainer: Any) -> None:
    """No text of a run, a model, a dataset or a request becomes an element or a script of any page."""
    seen = ""
    for path in paths(trainer):
        page = LivePage(visitor.get(path).data.decode())
        page.check()
        seen += page.text
    for text in HOSTILE_TEXTS[-2:]:
        assert text in seen
    assert seen.count(TRAP) > 5


def test_the_report_of_a_run_is_a_page_of_its_own(visitor: Visitor, trainer: Any) -> None:
    """The full report has a policy without any script, and is the same page as `Trainer.report` writes."""
    answer = visitor.get(f"/runs/{trainer.runs().rows[1].id}/report")
    assert answer.status == 200
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    Report(answer.data.decode()).check()


def test_the_list_has_an_etag(visitor: Visitor, trainer: Any) -> None:
    """What a page has already isn't sent again; after a change it is."""
    first = visitor.get("/api/runs")
    data = json.loads(first.data)
    assert [run["id"] for run in data["runs"]] == [row.id for row in trainer.runs().rows]
    assert data["active"] is False
    again = visitor.get("/api/runs", If_None_Match=first.headers["ETag"])
    assert (again.status, again.data) == (304, b"")
    trainer.run(data["runs"][-1]["id"]).tag("seen", "yes")
    changed = visitor.get("/api/runs", If_None_Match=first.headers["ETag"])
    assert changed.status == 200
    assert json.loads(changed.data)["runs"][-1]["tags"]["seen"] == "yes"


def test_the_list_is_filtered_and_sorted(visitor: Visitor, trainer: Any) -> None:
    """The list takes the grammar of the command line, and columns by name."""
    where, order = "accuracy > 0.81 and state == 'Completed'", "-accuracy"
    data = json.loads(visitor.get(f"/api/runs?where={quote(where)}&sort={order}&columns=accuracy,tags.rate,state").data)
    assert [run["id"] for run in data["runs"]] == [row.id for row in trainer.runs(where, sort=order).rows]
    assert data["columns"] == ["metrics.accuracy", "tags.rate", "state"]
    assert data["problem"] == ""


@pytest.mark.parametrize("query", ["where=acuracy%3E1", "where=a%20%3E", "sort=nothing", "columns=nothing"])
def test_a_wrong_filter_is_said_in_words(visitor: Visitor, query: str) -> None:
    """A filter, an order or a column that is wrong is a sentence, and all runs stay."""
    answer = visitor.get(f"/api/runs?{query}")
    data = json.loads(answer.data)
    assert answer.status == 200
    assert data["problem"]
    assert data["runs"]


def test_a_sweep_is_listed_alone(visitor: Visitor, trainer: Any) -> None:
    """A sweep's list has its runs alone; the list of sweeps names the best of them."""
    rows = [row for row in trainer.runs().rows if "sweep" in row.tags]
    data = json.loads(visitor.get(f"/api/runs?sweep={quote(rows[0].tags['sweep'])}").data)
    assert [run["id"] for run in data["runs"]] == [row.id for row in rows]
    best = max(rows, key=lambda row: row.metrics["accuracy"])
    assert f"/runs/{best.id}" in visitor.get("/sweeps").data.decode()


def test_curves_come_for_the_runs_that_are_drawn(visitor: Visitor, trainer: Any) -> None:
    """The curves of some runs are sent, and which of them are final; an unknown run is left out."""
    run = trainer.runs().rows[1].id
    data = json.loads(visitor.get(f"/api/series?run={run}&run=none").data)
    assert list(data["series"]) == [run] == data["final"]
    assert len(data["series"][run]["loss"]) == 6


def test_a_run_that_hasnt_finished(visitor: Visitor, trainer: Any) -> None:
    """A running run shows its last metric, its log so far, and is canceled by a form."""
    with trainer.start_run("live") as active:
        print("a line, password=hunter2hunter2")
        active.log("loss", 0.25, step=7)
        data = json.loads(visitor.get(f"/api/runs/{active.id}").data)
        assert (data["state"], data["finished"]) == ("Running", False)
        assert data["progress"].startswith("loss 0.25 at step 7, for ")
        listed = json.loads(visitor.get("/api/runs").data)
        assert listed["active"] is True
        assert "loss 0.25 at step 7" in listed["runs"][0]["progress"]
        log = json.loads(visitor.get(f"/api/runs/{active.id}/log").data)
        assert log["text"] == "a line, password=***\n"
        more = json.loads(visitor.get(f"/api/runs/{active.id}/log?start={log['next']}").data)
        assert (more["text"], more["next"]) == ("", log["next"])
        answer = visitor.post(f"/runs/{active.id}/cancel")
        assert (answer.status, answer.headers["Location"]) == (303, f"/runs/{active.id}")
        assert active.should_stop
    assert json.loads(visitor.get(f"/api/runs/{active.id}").data)["finished"] is True


def test_a_log_is_sent_in_whole_lines() -> None:
    """A line that isn't finished waits, so that no secret is cut in two; a long log loses its beginning."""
    assert log_data("one\nto", 10, is_complete=False) == {"text": "one\n", "next": 14, "skipped": 0}
    assert log_data("one\nto", 10, is_complete=True) == {"text": "one\nto", "next": 16, "skipped": 0}
    long = "".join(f"line {i}\n" for i in range(50_000))
    part = log_data(long, 0, is_complete=False)
    assert part["next"] == len(long)
    assert re.match(r"line \d+\n", part["text"])
    assert part["skipped"] + len(part["text"]) == len(long)
    bar = "x" * 5_000
    assert log_data(bar, 0, is_complete=False)["next"] == 5_000


def test_models_change_only_if_that_is_allowed(visitor: Visitor, trainer: Any) -> None:
    """Without --allow-changes the forms aren't there and nothing is promoted; with it, promotion and rollback work."""
    from mnistkit.ui.server import UiServer

    promotion = {"version": "2", "alias": "staging", "reason": "why <b>"}
    assert visitor.post("/models/digits/promote", promotion).status == 403
    assert visitor.post("/models/digits/rollback", {"alias": "champion"}).status == 403
    assert "<form" not in visitor.get("/models/digits").data.decode()
    assert "staging" not in trainer.models.aliases("digits")
    with UiServer(trainer, port=0, allow_changes=True) as server:
        allowed = Visitor.of(server.url)
        assert allowed.post("/models/digits/promote", {**promotion, "version": "9"}).status == 404
        assert allowed.post("/models/digits/promote", {**promotion, "version": "x"}).status == 400
        assert allowed.post("/models/digits/promote", {**promotion, "alias": "../x"}).status == 400
        assert allowed.post("/models/digits/promote", {**promotion, "reason": "x" * 5000}).status == 400
        assert allowed.post("/models/digits/promote", promotion).status == 303
        assert allowed.post("/models/digits/promote", {**promotion, "version": "1"}).status == 303
        assert allowed.post("/models/digits/rollback", {"alias": "staging"}).status == 303
        assert allowed.post("/models/digits/rollback", {"alias": "staging"}).status == 400
        assert "why &lt;b&gt;" in allowed.get("/models/digits").data.decode()
    history = trainer.models.aliases("digits")["staging"]
    assert [each.version for each in history] == [2, 1, 2]


def test_only_known_data_is_read(visitor: Visitor, trainer: Any) -> None:
    """A dataset that no run is on isn't read, whatever the address says."""
    assert visitor.get("/dataset?uri=digits").status == 404
    assert visitor.get("/dataset?uri=idx:/etc").status == 404
    page = visitor.get(f"/dataset?uri={quote(trainer.data.uri)}").data.decode()
    assert page.count("<img ") == 120


def test_errors_are_pages(visitor: Visitor) -> None:
    """What isn't there is a page with the status 404, or JSON for a script."""
    assert visitor.get("/runs/none").status == 404
    assert visitor.get("/models/none").status == 404
    assert visitor.get("/compare?run=none&run=other").status == 404
    assert visitor.get("/compare").status == 400
    answer = visitor.get("/api/runs/none")
    assert (answer.status, json.loads(answer.data)["status"]) == (404, 404)
