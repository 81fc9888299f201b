"""The routes: the same predictions by every way, and what else the server returns."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
import urllib3
from sklearn.svm import LinearSVC

from mnistkit.models.input import InputSpec
from mnistkit.serving.app import ServingApp
from mnistkit.serving.server import ModelServer
from support.serving import Client, Register, png, rows

N_IMAGES = 1000


def test_every_way_predicts_the_same(client: Client, fitted: Any, images: Any) -> None:
    """Python, /score by rows, by images and by bytes, /invocations in its three forms, and /predict agree."""
    chosen = images[:N_IMAGES]
    X = rows(chosen)
    expected = fitted.predict(X).tolist()
    table = {"columns": [str(i) for i in range(64)], "data": X.tolist()}
    bodies = [
        ("/score", {"data": X.tolist()}),
        ("/score", {"data": X.reshape(-1, 8, 8).tolist()}),
        ("/score", {"data": chosen.tolist(), "scale": 255}),
        ("/invocations", {"inputs": X.tolist()}),
        ("/invocations", {"instances": X.tolist()}),
        ("/invocations", {"dataframe_split": table}),
    ]
    for path, body in bodies:
        response = client.post(path, body)
        assert response.status == 200, response.data
        assert (response.json() if path == "/score" else response.json()["predictions"]) == expected
    found = [client.post("/predict", png(image), "image/png").json() for image in chosen[:200]]
    assert [each["label"] for each in found] == expected[:200]
    np.testing.assert_allclose(
        [each["probabilities"] for each in found], fitted.predict_proba(X[:200]), rtol=1e-5, atol=1e-7
    )


def test_probabilities_on_request(client: Client, fitted: Any, images: Any) -> None:
    """With ?proba=1 /score returns labels, classes and the probabilities of Python's own prediction."""
    X = rows(images[:50])
    answer = client.post("/score?proba=1", {"data": X.tolist()}).json()
    assert answer["classes"] == list(range(10))
    assert answer["labels"] == fitted.predict(X).tolist()
    np.testing.assert_allclose(answer["probabilities"], fitted.predict_proba(X), rtol=1e-6)


def test_a_form_and_a_jpeg(client: Client, images: Any) -> None:
    """A file is taken as the body or from a form, as PNG or JPEG; ?seen=1 returns what the model got."""
    from PIL import Image

    image = np.kron(images[0], np.ones((20, 20), dtype=np.uint8))
    jpeg = io.BytesIO()
    Image.fromarray(image).save(jpeg, "JPEG", quality=95)
    body, kind = urllib3.encode_multipart_formdata({"file": ("digit.png", png(image), "image/png")})
    for data, type_ in ((png(image), "image/png"), (jpeg.getvalue(), "image/jpeg"), (body, kind)):
        response = client.post("/predict?seen=1", data, type_)
        assert response.status == 200, response.data
        answer = response.json()
        assert answer["label"] == 0
        seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["seen"]))))
        assert seen.shape == (8, 8)
        assert np.abs(seen.astype(int) - images[0]).max() < 40


def test_class_names_are_returned(registry: Any, register: Register, fitted: Any, images: Any) -> None:
    """The names that were registered come with a prediction."""
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    register(fitted, spec=InputSpec(height=8, width=8, class_names=names))
    with ModelServer(registry, "digits", port=0) as server:
        answer = Client(server.url).post("/predict", png(images[1]), "image/png").json()
    assert (answer["label"], answer["name"], answer["classes"]) == (1, "one", list(names))


def test_a_classifier_without_probabilities(registry: Any, register: Register, images: Any, fitted: Any) -> None:
    """Probabilities are null where the classifier has none."""
    register(LinearSVC(max_iter=200).fit(rows(images), fitted.predict(rows(images))))
    with ModelServer(registry, "digits", port=0) as server:
        client = Client(server.url)
        answer = client.post("/score?proba=1", {"data": rows(images[:3]).tolist()}).json()
        assert answer["probabilities"] is None
        assert client.post("/predict", png(images[0]), "image/png").json()["probabilities"] is None


def test_every_response_names_the_version(served: ModelServer, client: Client, images: Any) -> None:
    """Model, version and digest are in the headers of every response, refusals included."""
    for response in (client.get("/health"), client.get("/nope"), client.post("/score", b"{"), client.get("/")):
        assert response.headers["X-Model-Name"] == "digits"
        assert response.headers["X-Model-Version"] == "1"
        assert response.headers["X-Model-Digest"] == served.version.digest


def test_version_health_and_metrics(served: ModelServer, client: Client, images: Any) -> None:
    """/version describes the model, /ready is 200 once it serves, and /metrics counts requests and labels."""
    assert client.get("/health").json() == {"status": "alive"}
    assert client.get("/ready").status == 200
    version = client.get("/version").json()
    assert (version["model"], version["version"], version["digest"]) == ("digits", 1, served.version.digest)
    assert version["libraries"]["scikit-learn"]
    client.post("/score", {"data": rows(images[:3]).tolist()})
    client.post("/score", b"{")
    lines = client.get("/metrics").data.decode().splitlines()
    assert 'mnistkit_requests_total{route="score",status="200"} 2' in lines  # the probe's, and this one
    assert 'mnistkit_requests_total{route="score",status="400"} 1' in lines
    assert 'mnistkit_request_seconds_count{route="score"} 3' in lines
    counted = [int(line.split()[-1]) for line in lines if line.startswith("mnistkit_predictions_total")]
    assert sum(counted) == 16 + 3


def test_the_description_lists_all_routes(served: ModelServer, client: Client) -> None:
    """/openapi.json has each route with its method, and no other; the list of routes is fixed here."""
    document = client.get("/openapi.json").json()
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    app: ServingApp = served._app
    rules = {
        (rule.rule, method.lower())
        for rule in app.wsgi().url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }
    assert described == rules
    assert sorted(path for path, _ in rules) == sorted(
        ["/", "/health", "/ready", "/version", "/metrics", "/openapi.json", "/score", "/invocations", "/predict"]
    )


def test_the_page_may_load_nothing_from_elsewhere(client: Client) -> None:
    """The page and its files come from the server, under a policy that forbids everything else."""
    page = client.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    text = page.data.decode()
    assert "http:" not in text
    assert "https:" not in text
    assert " style=" not in text
    for file in ("page.css", "page.js"):
        assert client.get(f"/static/{file}").status == 200


def test_wrong_methods_and_paths_are_json(client: Client) -> None:
    """A path that doesn't exist is a 404 and a wrong method a 405, both in JSON; no path leads to a file."""
    assert json.loads(client.get("/nope").data)["status"] == 404
    refused = client.get("/score")
    assert (refused.status, refused.json()["status"]) == (405, 405)
    assert "POST" in refused.headers["Allow"]
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/..%2fapp.py"):
        assert client.get(path).status in {400, 404}


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic c2VjcmV0", "Bearer sécret"])
def test_a_token_is_needed(registry: Any, register: Register, fitted: Any, images: Any, given: str) -> None:
    """With a token, what is predicted or known of the model needs it; the page and the probes of health don't."""
    register(fitted)
    with ModelServer(registry, "digits", port=0, token="secret") as server:
        client = Client(server.url)
        client.headers = {"Authorization": given.encode("utf-8").decode("latin-1")} if given else {}
        body = {"data": rows(images[:1]).tolist()}
        for response in (client.post("/score", body), client.get("/version"), client.get("/metrics")):
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
        for path in ("/", "/health", "/ready", "/openapi.json", "/static/page.js"):
            assert client.get(path).status == 200
        assert Client(server.url, "secret").post("/score", body).json() == [0]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:80", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("[", 403),
    ],
)
def test_without_a_token_other_names_are_refused(client: Client, host: str, status: int) -> None:
    """A web page can have its own name point to this machine: a request by such a name is refused."""
    client.headers = {"Host": host}
    for path in ("/", "/version", "/health"):
        assert client.get(path).status == status
