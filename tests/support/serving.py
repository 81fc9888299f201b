"""Models of the digits of scikit-learn, and requests to their server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import urllib3
from sklearn.datasets import load_digits

from mnistkit.registry.version import ModelVersion
from mnistkit.utils.markup import encode_grey

Register = Callable[..., ModelVersion]


def digits() -> tuple[Any, Any]:
    """The images, ``(1797, 8, 8) uint8`` in 0..255, and the labels."""
    bunch = load_digits()
    return (bunch.images * 255 / 16).astype(np.uint8), bunch.target


def rows(images: Any) -> Any:
    """Images as `Split.X` has them: ``(n, 64) float32`` in 0..1."""
    return np.divide(images.reshape(len(images), -1), np.float32(255), dtype=np.float32)


def png(image: Any) -> bytes:
    """An image as a file."""
    return encode_grey(image.tobytes(), image.shape[1], image.shape[0])


class Client:
    """Requests to one server."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = urllib3.PoolManager(maxsize=8, retries=False, timeout=30.0)

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        return self.http.request("GET", self.url + path, headers=self.headers)

    def post(self, path: str, body: Any, kind: str = "application/json", **headers: str) -> urllib3.BaseHTTPResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": kind, **self.headers, **headers}
        return self.http.request("POST", self.url + path, body=data, headers=headers)
