"""Bodies of unknown origin: each is answered with a prediction or with a status of 4xx in JSON."""

from __future__ import annotations

import gzip
import json
import logging
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.serving.app import ServingApp
from mnistkit.serving.current import CurrentModel
from mnistkit.serving.limits import ServerLimits
from mnistkit.serving.server import ModelServer
from support.bodies import BAD_BODIES, BAD_IMAGES, BAD_INVOCATIONS, ROW, forged_png, score
from support.serving import Client, Register, png


def check(response: Any, status: int) -> None:
    """The response has the status, and says why in JSON."""
    assert response.status == status, response.data
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["status"] == status
    assert response.json()["error"]


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_rows(client: Client, name: str) -> None:
    """A malformed body of /score is refused with the status that says what is wrong with it."""
    status, body = BAD_BODIES[name]
    check(client.post("/score", body), status)


@pytest.mark.parametrize("name", BAD_INVOCATIONS)
def test_bad_invocations(client: Client, name: str) -> None:
    """A malformed body of /invocations is refused."""
    status, body = BAD_INVOCATIONS[name]
    check(client.post("/invocations", body), status)


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_images(client: Client, name: str) -> None:
    """What is no image, or too large a one, is refused."""
    status, body, kind = BAD_IMAGES[name]
    check(client.post("/predict", body, kind), status)


def test_other_types_and_encodings(client: Client) -> None:
    """Bodies of another type, or compressed, are refused without being read; so are flags of another value."""
    body = score([ROW])
    check(client.post("/score", body, "text/csv"), 415)
    check(client.post("/score", gzip.compress(body), **{"Content-Encoding": "gzip"}), 415)
    check(client.post("/score", gzip.compress(bytes(1 << 24)), **{"Content-Encoding": "gzip"}), 415)
    check(client.post("/score?proba=yes", body), 422)


@pytest.fixture
def app(registry: FolderRegistry, register: Register, fitted: Any) -> Any:
    """The application without a server, for many requests."""
    register(fitted)
    return ServingApp(CurrentModel(registry, "digits", poll_seconds=60), ServerLimits()).wsgi().test_client()


NUMBERS = st.floats() | st.integers() | st.integers(10**300, 10**320) | st.sampled_from([0, 1, 0.5, True, None, "0"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
ROWS = st.lists(st.lists(NUMBERS, min_size=63, max_size=65), max_size=2)
KEYS = st.sampled_from(["data", "inputs", "instances", "dataframe_split", "scale", "params", "columns"])
BODIES = st.one_of(
    st.binary(max_size=60),
    VALUES.map(json.dumps).map(str.encode),
    st.dictionaries(KEYS, ROWS | VALUES, max_size=3).map(json.dumps).map(str.encode),
    st.builds(lambda table: json.dumps({"dataframe_split": table}).encode(), st.dictionaries(KEYS, ROWS | VALUES)),
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(path=st.sampled_from(["/score", "/score?proba=1", "/invocations"]), body=BODIES)
def test_any_json(app: Any, path: str, body: bytes) -> None:
    """Whatever is sent, the answer is a prediction or a refusal in JSON, never a status of 5xx."""
    response = app.post(path, data=body, content_type="application/json")
    assert response.status_code in {200, 400, 413, 422}, response.data
    assert response.json is not None


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(place=st.integers(0, 400), value=st.integers(0, 255), cut=st.integers(0, 600))
def test_damaged_images(app: Any, images: Any, place: int, value: int, cut: int) -> None:
    """An image file with a changed byte or a torn end is predicted or refused."""
    data = bytearray(png(images[3]))
    data[place % len(data)] = value
    response = app.post("/predict", data=bytes(data[: len(data) - cut % 60]), content_type="image/png")
    assert response.status_code in {200, 413, 422}, response.data


def test_the_process_survives_and_stays_small(
    served: ModelServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """After a thousand malformed requests the server predicts as before; memory stays flat, the log empty."""
    small = [
        (path, body) for _, body in BAD_BODIES.values() for path in ("/score", "/invocations") if len(body) < 1 << 20
    ]
    caplog.set_level(logging.WARNING)

    def burst(count: int) -> int:
        for index in range(count):
            path, body = small[index % len(small)]
            assert 400 <= client.post(path, body).status < 500
            if index % 20 == 0:
                assert 400 <= client.post("/predict", forged_png(3000, 3000), "image/png").status < 500
        return int(psutil.Process().memory_info().rss)

    before = burst(1200)  # each of the server's threads has had the largest of them by then
    after = burst(400)
    assert after - before < 64 << 20
    assert client.post("/score", score([ROW])).status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
