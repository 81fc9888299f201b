"""The smoke test of a server: the recorded probe, sent through HTTP, must come back as recorded."""

from __future__ import annotations

import json

import numpy as np
import urllib3

from mnistkit.errors import ModelError
from mnistkit.serving.model import ServedModel

__all__ = ["smoke_test"]

_TIMEOUT_SECONDS = 60.0
_RELATIVE_TOLERANCE = 1e-6
_ABSOLUTE_TOLERANCE = 1e-9


def smoke_test(url: str, model: ServedModel, token: str = "") -> None:
    """Send the probe of the served model to ``/score``, and compare the answer with the recorded one.

    A model without a probe is sent one row of zeros, and must answer with what it predicts in this process.

    Raises:
        ModelError: The server answers differently, or not at all.
    """
    probe = model.probe
    X = np.zeros((1, model.n_features), dtype=model.dtype) if probe is None else probe.X
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    body = json.dumps({"data": X.tolist()}).encode()
    try:
        with urllib3.PoolManager(timeout=_TIMEOUT_SECONDS, retries=False) as http:
            response = http.request("POST", f"{url}/score?proba=1", body=body, headers=headers)
    except urllib3.exceptions.HTTPError as error:
        raise ModelError(f"{model.version.id}: the server at {url} doesn't answer: {error}.") from error
    if response.status != 200:  # noqa: PLR2004 - OK
        text = response.data.decode("utf-8", "replace")
        raise ModelError(f"{model.version.id}: the server answers its probe with {response.status}: {text:.300}")
    difference = _difference(json.loads(response.data), model)
    if difference:
        raise ModelError(
            f"{model.version.id}: through HTTP the recorded probe is predicted differently: {difference}. "
            "It isn't served."
        )


def _difference(answer: dict[str, list[object]], model: ServedModel) -> str:
    labels = np.asarray(answer["labels"])
    if model.probe is None:
        expected = model.labels(np.zeros((1, model.n_features), dtype=model.dtype))
        return "" if answer["labels"] == expected else f"{answer['labels']}, expected {expected}"
    found = answer["probabilities"]
    probabilities = np.empty((len(labels), 0)) if found is None else np.asarray(found)
    return model.probe.compare(labels, probabilities, rtol=_RELATIVE_TOLERANCE, atol=_ABSOLUTE_TOLERANCE)
