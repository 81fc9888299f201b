"""Ten thousand malformed requests through HTTP: each is refused, the process lives, memory stays flat."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import psutil
import pytest

from mnistkit.serving.server import ModelServer
from support.bodies import BAD_BODIES, BAD_IMAGES, ROW, forged_png, score
from support.mutations import MUTATIONS
from support.serving import Client, png

_N_REQUESTS = 10_000
_MAX_GROWTH_BYTES = 64 << 20


class _Requests:
    """Malformed requests, one after another, the same for the same seed."""

    def __init__(self, scratch: Path, image: bytes, seed: int) -> None:
        self._rng = random.Random(seed)
        self._scratch = scratch
        self._image = image
        self._bodies = [body for _, body in BAD_BODIES.values() if len(body) < 1 << 20]
        self._images = [(body, kind) for _, body, kind in BAD_IMAGES.values()]

    def draw(self) -> tuple[str, bytes, str, dict[str, str]]:
        """Return path, body, content type and headers."""
        path = self._rng.choice(["/score", "/score?proba=1", "/invocations", "/predict"])
        if path == "/predict":
            body, kind = self._rng.choice([*self._images, (self._changed(self._image), "image/png")])
            return path, body, kind, {}
        body = self._rng.choice([self._rng.choice(self._bodies), self._changed(score([ROW, ROW]))])
        if self._rng.random() < 0.05:
            return path, gzip.compress(bytes(1 << 24)), "application/json", {"Content-Encoding": "gzip"}
        return path, body, "application/json", {}

    def _changed(self, data: bytes) -> bytes:
        self._scratch.write_bytes(data)
        _, change = MUTATIONS[self._rng.choice(["flip", "cut", "insert", "value"])]
        change(self._scratch, self._rng)
        return self._scratch.read_bytes()


@pytest.mark.slow
def test_ten_thousand_malformed_bodies(served: ModelServer, client: Client, images: Any, tmp_path: Path) -> None:
    """Random damage of rows, documents and images, bombs and lies: never a 5xx, and the server predicts as before."""
    requests = _Requests(tmp_path / "body.json", png(images[3]), seed=14)
    before = 0
    for number in range(_N_REQUESTS):
        path, body, kind, headers = requests.draw()
        response = client.post(path, body, kind, **headers)
        assert response.status == 200 or 400 <= response.status < 500, (path, kind, body[:200], response.data)
        assert response.json() is not None
        if number % 500 == 0:
            client.post("/predict", forged_png(3000, 3000), "image/png")
        if number == _N_REQUESTS // 4:  # each of the server's threads has had the largest of them by then
            before = psutil.Process().memory_info().rss
    assert psutil.Process().memory_info().rss - before < _MAX_GROWTH_BYTES
    assert client.post("/score", score([ROW])).status == 200
