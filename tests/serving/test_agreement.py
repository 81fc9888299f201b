"""One model predicts the same in Python, by the command line and by the server, to the bit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer, load_dataset
from mnistkit.data import Dataset
from support.serving import Client, png

pytest.importorskip("PIL", reason="the extra 'cli' isn't installed")
pytest.importorskip("typer", reason="the extra 'cli' isn't installed")

N_IMAGES = 40
CLASS_NAMES = tuple("abcdefghij")


@pytest.fixture
def trainer() -> Trainer:
    """A trainer with a registered model of the digits, whose classes have names."""
    (X, y), (X_test, y_test) = load_dataset("digits").arrays()
    data = Dataset.from_arrays(X[:400], y[:400], X_test, y_test, class_names=CLASS_NAMES)
    trainer = Trainer.local(data=data)
    trainer.register(trainer.train(LogisticRegression(tol=1e-3)), "sklearn_mnist")
    return trainer


def by_command(*arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What ``mnistkit predict`` prints as JSON, with the probabilities of all classes."""
    from mnistkit.cli import main

    monkeypatch.setattr(sys, "argv", ["mnistkit", "predict", *arguments, "--top", "10", "--json"])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main()
    return json.loads(capsys.readouterr().out)


def probabilities(found: Any) -> list[list[float]]:
    """The probabilities that the command line printed, in the order of the classes."""
    return [[{top["name"]: top["probability"] for top in each["top"]}[name] for name in CLASS_NAMES] for each in found]


def test_rows_and_files_are_predicted_alike(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels and probabilities of rows in one request, and of single image files, are equal, bit by bit."""
    images = trainer.dataset().test.images[:N_IMAGES]
    files = [tmp_path / f"{i:02}.png" for i in range(3)]
    for file, image in zip(files, images, strict=False):
        file.write_bytes(png(image))
    np.save(tmp_path / "images.npy", images)
    with trainer.serve("sklearn_mnist", port=0) as server:
        client = Client(server.url)
        rows = (images.reshape(N_IMAGES, -1) / np.float32(255)).tolist()
        scored = client.post("/score?proba=1", {"data": rows}).json()
        posted = [client.post("/predict", file.read_bytes(), "image/png").json() for file in files]
        client.http.clear()
    found = trainer.predict(images, proba=True)
    printed = by_command(str(tmp_path / "images.npy"), monkeypatch=monkeypatch, capsys=capsys)
    assert scored["labels"] == found.labels.tolist() == [each["label"] for each in printed]
    assert found.probabilities is not None
    assert scored["probabilities"] == found.probabilities.tolist() == probabilities(printed)
    for file, answer in zip(files, posted, strict=True):
        one = trainer.predict(file, proba=True)
        (line,) = by_command(str(file), monkeypatch=monkeypatch, capsys=capsys)
        assert answer["name"] == one.names[0] == line["name"]
        assert one.probabilities is not None
        assert [answer["probabilities"]] == one.probabilities.tolist() == probabilities([line])


def test_many_images_are_predicted_in_the_same_batches(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python and the command line agree to the bit for more images than one batch has."""
    images = trainer.dataset().test.images
    np.save(tmp_path / "images.npy", images)
    found = trainer.predict(images, proba=True)
    printed = by_command(str(tmp_path / "images.npy"), monkeypatch=monkeypatch, capsys=capsys)
    assert found.probabilities is not None
    assert len(images) > 256
    assert found.probabilities.tolist() == probabilities(printed)
