"""The smoke test of a server: the recorded probe, sent through HTTP, must come back as recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import urllib3
from numpy.typing import NDArray

from mnistkit.errors import ModelError
from mnistkit.serving.limits import ServerLimits
from mnistkit.serving.model import ServedModel

__all__ = ["smoke_test"]

_TIMEOUT_SECONDS = 60.0
_RELATIVE_TOLERANCE = 1e-6
_ABSOLUTE_TOLERANCE = 1e-9


def smoke_test(url: str, model: ServedModel, limits: ServerLimits, token: str = "") -> None:
    """Send the probe of the served model to ``/score``, and compare the answer with the recorded one.

    A model without a probe is sent one row of zeros, and must answer with what it predicts in this process.

    Raises:
        ModelError: The server answers differently, or not at all.
    """
    probe = model.probe
    X = np.zeros((1, model.n_features), dtype=model.dtype) if probe is None else probe.X
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    labels: list[object] = []
    probabilities: list[list[float]] = []
    with urllib3.PoolManager(timeout=_TIMEOUT_SECONDS, retries=False, headers=headers) as http:
        for body in _bodies(X, limits):
            answer = _post(http, f"{url}/score?proba=1", body, model)
            labels += answer["labels"]
            probabilities += answer["probabilities"] or [[] for _ in answer["labels"]]
    difference = _difference(np.asarray(labels), np.asarray(probabilities), model)
    if difference:
        raise ModelError(
            f"{model.version.id}: through HTTP the recorded probe is predicted differently: {difference}. "
            "It isn't served."
        )


def _bodies(X: NDArray[Any], limits: ServerLimits) -> Iterator[bytes]:
    """Yield the rows in requests that the limits allow, one row in each if need be."""
    n_rows = min(limits.max_rows, len(X))
    while n_rows > 1 and len(json.dumps({"data": X[:n_rows].tolist()})) > limits.max_body_bytes // 2:
        n_rows //= 2  # half of the limit: other rows may have longer numbers
    for start in range(0, len(X), n_rows):
        yield json.dumps({"data": X[start : start + n_rows].tolist()}).encode()


def _post(http: urllib3.PoolManager, url: str, body: bytes, model: ServedModel) -> dict[str, Any]:
    try:
        response = http.request("POST", url, body=body)
    except urllib3.exceptions.HTTPError as error:
        raise ModelError(f"{model.version.id}: the server at {url} doesn't answer: {error}.") from error
    if response.status != 200:  # noqa: PLR2004 - OK
        text = response.data.decode("utf-8", "replace")
        raise ModelError(f"{model.version.id}: the server answers its probe with {response.status}: {text:.300}")
    answer: dict[str, Any] = json.loads(response.data)
    return answer


def _difference(labels: NDArray[Any], probabilities: NDArray[Any], model: ServedModel) -> str:
    if model.probe is None:
        expected = model.labels(np.zeros((1, model.n_features), dtype=model.dtype))
        return "" if labels.tolist() == expected else f"{labels.tolist()}, expected {expected}"
    return model.probe.compare(labels, probabilities, rtol=_RELATIVE_TOLERANCE, atol=_ABSOLUTE_TOLERANCE)
