"""Serve a registered model over HTTP, send it images, and let another version take over meanwhile.

Run it with ``python examples/06_serve_and_ask.py``; it needs the extra ``serve``. ``mnistkit serve`` does the same from
a shell, with a page to draw a digit on. It keeps runs and models in ``./.mnistkit``.
"""

from __future__ import annotations

import time

import urllib3
from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer, promote


def main() -> None:
    trainer = Trainer.local(data="digits", experiment="serving")
    for C in (0.01, 2):
        run = trainer.train(LogisticRegression(C=C, tol=1e-3, max_iter=500))
        print(trainer.register(run, "sklearn_mnist").id, run.metrics["accuracy"])
    promote(trainer.models, "sklearn_mnist:1", "champion")

    test = trainer.dataset().test
    body = {"data": test.images.tolist(), "scale": 255}  # images of 0 to 255; rows of 0 to 1 are taken as well
    with trainer.serve("sklearn_mnist@champion", port=0, poll_seconds=0.2) as server:
        print("right by", *right(server.url, body, test.y))
        promote(trainer.models, "sklearn_mnist:2", "champion")
        while server.version.id != "sklearn_mnist:2":  # loaded and verified meanwhile
            time.sleep(0.1)
        print("right by", *right(server.url, body, test.y))


def right(url: str, body: object, labels: object) -> tuple[str, float]:
    """Return which version answered, and the share of right predictions."""
    response = urllib3.request("POST", f"{url}/score", json=body)
    return f"version {response.headers['X-Model-Version']}:", round(float((labels == response.json()).mean()), 4)


if __name__ == "__main__":
    main()
