"""Metrics: batches are merged, repeated ones count once, unclear ones are refused."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("h11")
pytest.importorskip("jwt")
pytest.importorskip("cryptography")

from emulator.runs_client import answer, history, make_run, scope

if TYPE_CHECKING:
    from emulator.conftest import Client

KINDS = ("scalar", "list", "row", "table", "image", "confusion_matrix", "accuracy_table")


def metric(
    name: str, *values: Any, kind: str = "Double", first: int = 0, ux: str = "azureml.v1.scalar"
) -> dict[str, Any]:
    """A metric as it is posted."""
    cells = [
        {
            "metricId": f"{name}{number}",
            "createdUtc": f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z",
            "data": {name: value},
        }
        for number, value in enumerate(values, start=first)
    ]
    return {"name": name, "columns": {name: kind}, "value": cells, "properties": {"uxMetricType": ux}}


def post(client: Client, *values: Any) -> list[Any]:
    """Post metrics of the run ``one``; the errors."""
    url = f"{scope(client, 'metric/v2.0')}/runs/one/batch"
    errors: list[Any] = answer(client.ask("POST", url, body={"values": values, "reportErrors": True}))["errors"]
    return errors


def full(client: Client, name: str, status: int = 200) -> Any:
    """A whole metric."""
    return answer(
        client.ask("POST", f"{scope(client, 'metric/v2.0')}/runs/one/full", body={"metricName": name}), status
    )


def values(client: Client, name: str) -> list[Any]:
    """The values of a metric."""
    return [each["data"][name] for each in full(client, name)["value"]]


def test_merged(client: Client) -> None:
    """Batches of one metric become one, in the order of their times; a repeated one counts once."""
    make_run(client, "one")
    late, early = metric("loss", 0.5, 0.25, first=2), metric("loss", 2, 1, kind="Int")
    assert post(client, late) == post(client, early) == post(client, late) == []
    assert values(client, "loss") == [2, 1, 0.5, 0.25]
    assert full(client, "loss")["columns"] == {"loss": "Double"}
    listed = answer(client.ask("POST", f"{scope(client, 'metric/v2.0')}/runs/one/list", body={}))["value"]
    assert [each["metricKey"]["name"] for each in listed] == ["loss"]
    full(client, "none", status=404)


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(client: Client, kind: str) -> None:
    """A metric of any kind comes back with its kind, also as the older interface shows it."""
    make_run(client, "one")
    ux = f"azureml.v1.{kind}"
    post(client, metric("m", "aml://artifactId/x", kind="String", ux=ux))
    assert full(client, "m")["properties"] == {"uxMetricType": ux}
    found = history(client, "POST", "/metrics:query", {"filter": f"(RunId eq one and MetricType eq {ux})"})["value"]
    assert [(each["name"], each["metricType"], each["numCells"]) for each in found] == [("m", ux, 1)]
    assert history(client, "POST", "/metrics:query", {"filter": "RunId eq one and name eq other"})["value"] == []
    history(client, "POST", "/metrics:query", {"filter": "RunId eq one and Colour eq red"}, status=400)


def test_refused(client: Client) -> None:
    """Metrics without a name, a column or a fitting type are reported one by one; the others are kept."""
    make_run(client, "one")
    bad: list[Any] = [
        metric("", 1),
        {"name": "m", "columns": {}, "value": []},
        {"name": "m", "columns": {"x": "Double"}, "value": [{"data": {"y": 1}}]},
        {"name": "m", "columns": {"x": "Double"}, "value": [1]},
    ]
    errors = post(client, metric("good", 1), *bad, metric("good", "text", kind="String", first=5))
    assert len(errors) == 5
    assert values(client, "good") == [1]
    url = f"{scope(client, 'metric/v2.0')}/runs/none/batch"
    assert client.ask("POST", url, body={"values": []}).status == 404


def test_reading_while_a_run_logs(client: Client) -> None:
    """Metrics are read in whole while more of them are posted."""
    make_run(client, "one")
    post(client, metric("loss", 0))
    batches = [[metric("loss", each, first=each) for each in range(first, first + 10)] for first in range(1, 300, 10)]
    writer = threading.Thread(target=lambda: [post(client, *batch) for batch in batches])
    writer.start()
    found = []
    while writer.is_alive():
        found.append(len(values(client, "loss")))
    writer.join()
    assert found == sorted(found)
    assert len(values(client, "loss")) == 301
