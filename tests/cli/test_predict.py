"""``mnistkit predict``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from mnistkit.errors import DataFormatError
from mnistkit.interfaces import DataSource
from mnistkit.plugins import load_dataset
from mnistkit.trainer import Trainer

Program = Callable[..., Any]


def test_a_test_image_is_scored_and_checked(mnistkit: Program, trained: Trainer) -> None:
    """--index asks for test images of the data that the model was trained on, and says which are right."""
    labels = load_dataset("digits").test.labels
    found = mnistkit("predict", "--index", "0", "--index", "9", "--json").json
    assert [(each["source"], each["truth"]) for each in found] == [
        ("digits test[0]", labels[0]),
        ("digits test[9]", labels[9]),
    ]
    assert all(each["right"] == (each["label"] == each["truth"]) for each in found)
    assert "right" in mnistkit("predict", "--index", "0").out


def test_the_three_likeliest_classes_are_told(mnistkit: Program, trained: Trainer) -> None:
    """The answer has the three most probable classes, most probable first, as the model gives them."""
    (found,) = mnistkit("predict", "--index", "3", "--json").json
    X = load_dataset("digits").test.X()[3:4]
    expected = sorted(trained.load("sklearn_mnist").predict_proba(X)[0], reverse=True)[:3]
    assert [each["probability"] for each in found["top"]] == pytest.approx(expected, abs=1e-6)
    assert found["top"][0]["name"] == found["name"]


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 64)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_arrays_are_scored(mnistkit: Program, trained: Trainer, shape: tuple[int, ...], dtype: str) -> None:
    """Arrays of several images, flat or not, as bytes or 0..1, give one answer per image."""
    test = load_dataset("digits").test
    images = test.images[:3] if dtype == "uint8" else test.images[:3] / 255
    np.save("digits.npy", images.astype(dtype).reshape(shape))
    found = mnistkit("predict", "digits.npy", "--json").json
    assert [each["source"] for each in found] == ["digits.npy[0]", "digits.npy[1]", "digits.npy[2]"]
    assert [each["label"] for each in found] == trained.load("sklearn_mnist").predict(test.X()[:3]).tolist()


@pytest.mark.mnist
def test_a_drawing_is_recognised(mnistkit: Program) -> None:
    """Digits of the real MNIST, drawn large and dark on light ground, are scored as the digits themselves."""
    from PIL import Image, ImageOps

    trainer = Trainer.local()
    trainer.register(trainer.train(LogisticRegression(max_iter=200), limit=3000), "sklearn_mnist")
    test = trainer.dataset().test
    predicted = trainer.load("sklearn_mnist").predict(test.X()[:40])
    for i in range(40):
        drawing = Image.fromarray(255 - test.images[i]).resize((280, 280))
        ImageOps.expand(drawing, (10, 20, 90, 40), fill=255).save(f"{i}.png")
    found = mnistkit("predict", *(f"{i}.png" for i in range(40)), "--json").json
    assert sum(each["label"] == label for each, label in zip(found, predicted, strict=True)) >= 36


def test_classes_have_their_names(mnistkit: Program, tmp_path: Path) -> None:
    """The answer says what the run's data called the class."""
    from mnistkit.data.manifest import DatasetManifest
    from mnistkit.testing.data import write_tiny_mnist

    folder = write_tiny_mnist(tmp_path / "named", n_train=100, n_test=20)
    DatasetManifest(name="named", class_names=tuple("abcdefghij")).write(folder)
    mnistkit("train", "--data", f"idx:{folder}")
    (found,) = mnistkit("predict", "--index", "0", "--json").json
    assert found["name"] == "abcdefghij"[found["label"]]


def test_a_pickle_needs_consent(mnistkit: Program) -> None:
    """A joblib model is refused without --allow-pickle, and scored with it."""
    mnistkit("train", "--data", "digits", "--format", "joblib")
    assert "pickle" in mnistkit("predict", "--index", "0", code=1).err
    assert mnistkit("predict", "--index", "0", "--allow-pickle", "--json").json[0]["truth"] == 0


def test_types_are_trusted_by_name(mnistkit: Program) -> None:
    """A model with types that nobody knows to be harmless is refused; the message has the option that names them."""
    trainer = Trainer.local("digits")
    trainer.register(trainer.train(DecisionTreeClassifier(max_depth=3)), "sklearn_mnist")
    refused = mnistkit("predict", "--index", "0", code=1).err
    assert "on the command line --trusted sklearn.tree._tree.Tree." in refused
    trusting = ("--trusted", "sklearn.tree._tree.Tree")
    assert mnistkit("predict", "--index", "0", *trusting, "--json").json[0]["truth"] == 0
    assert mnistkit("models", "compare", "sklearn_mnist", "sklearn_mnist:1", *trusting, "--data", "digits")


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((28, 28), dtype=np.uint8), "has shape (28, 28): expected (8, 8), (n, 8, 8) or (n, 64)"),
        (np.zeros((0, 8, 8), dtype=np.uint8), "has shape (0, 8, 8)"),
        (np.full((8, 8), 256.0), "in 256..256: expected uint8 in 0..255 or floating in 0..1"),
        (np.full((8, 8), -0.5), "in -0.5..-0.5"),
        (np.full((8, 8), np.nan), "holds NaN or infinite values"),
        (np.zeros((8, 8), dtype=np.complex64), "holds complex64"),
        (np.array([{}]), "is no .npy file of numbers"),
    ],
)
def test_an_array_that_cannot_be_scored_says_why(
    mnistkit: Program, trained: Trainer, array: np.ndarray[Any, Any], expected: str
) -> None:
    """A wrong shape, range or type is answered with what was expected and what was found."""
    np.save("bad.npy", array, allow_pickle=True)
    assert expected in mnistkit("predict", "bad.npy", code=1).err


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("bad.png", 1, "is no picture that can be read"),
        ("bad.npy", 1, "is no .npy file of numbers"),
        ("bad.txt", 1, "is no image: use image files (.png"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    mnistkit: Program, trained: Trainer, name: str, code: int, expected: str
) -> None:
    """A file that isn't what its name says is named with what would do."""
    Path(name).write_bytes(b"anything")
    err = mnistkit("predict", name, code=code).err
    assert name in err
    assert expected in err


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        ((), 2, "Nothing to predict"),
        (("nowhere.png",), 1, "There is no file nowhere.png"),
        (("--index", "360"), 2, "digits has test images 0 to 359"),
        (("--index", "-1"), 2, "--index"),
        (("--index", "0", "--model", "nope"), 1, "No model 'nope'"),
    ],
)
def test_what_cannot_be_scored_is_explained(
    mnistkit: Program, trained: Trainer, arguments: tuple[str, ...], code: int, expected: str
) -> None:
    """Missing files, models and test images are named."""
    assert expected in mnistkit("predict", *arguments, code=code).err


def test_data_of_another_size_is_refused(mnistkit: Program, trained: Trainer, tiny_mnist: DataSource) -> None:
    """Test images of another size than the model's are refused with both sizes."""
    err = mnistkit("predict", "--index", "0", "--data", tiny_mnist.uri, code=2).err
    assert "takes images of 8x8" in err
    assert "28x28" in err


def test_a_model_keeps_how_its_images_were_made(mnistkit: Program, trained: Trainer) -> None:
    """A registered version has the size, the preparation, the classes and the data of its training images."""
    spec = trained.models.get("sklearn_mnist").input
    assert spec is not None
    assert (spec.height, spec.width, spec.inverted, spec.centred, spec.dataset) == (8, 8, True, True, "digits")
    assert spec.dataset_sha256 == load_dataset("digits").sha256
    assert "cropped, inverted and centred" in mnistkit("models", "show", "sklearn_mnist").out
    assert mnistkit("models", "show", "sklearn_mnist", "--json").json["input"]["class_names"] == list("0123456789")


def test_images_that_were_imported_as_they_are_are_predicted_as_they_are(mnistkit: Program) -> None:
    """Where a shape lies, and whether it is dark or light, counts for a model whose data was imported like that."""
    from PIL import Image

    for label, (place, ink) in enumerate([(2, 30), (18, 30), (2, 220)]):
        for i in range(20):
            picture = np.random.default_rng(i).integers(120, 130, (28, 28)).astype(np.uint8)
            picture[4:24, place : place + 6] = ink
            Path(f"pictures/{label}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(f"pictures/{label}/{i}.png")
    mnistkit("data", "import", "pictures", "--out", "data")
    mnistkit("train", "--data", "idx:data", "--name", "places")
    files = [f"pictures/{label}/{i}.png" for label in range(3) for i in range(3)]
    done = mnistkit("predict", *files, "--model", "places", "--json")
    assert [each["label"] for each in done.json] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert "light and dark as they are" in done.err


def test_one_bad_file_does_not_stop_the_others(mnistkit: Program, trained: Trainer) -> None:
    """The others are predicted, the bad ones are listed, and the exit code is 1."""
    np.save("a.npy", load_dataset("digits").test.images[:2])
    Path("bad.png").write_bytes(b"nothing")
    done = mnistkit("predict", "a.npy", "bad.png", "missing.png", "--csv", "out.csv", code=1)
    assert [line.split("\t")[0] for line in done.out.splitlines()] == ["a.npy[0]", "a.npy[1]"]
    assert "bad.png is no picture" in done.err
    assert "no file missing.png" in done.err
    assert "2 of 4 images have no prediction" in done.err
    header, first, _ = Path("out.csv").read_text().splitlines()
    assert header.startswith("source,label,name,class 1,probability 1")
    assert first.startswith("a.npy[0],")


def test_what_the_model_saw_is_written(mnistkit: Program, trained: Trainer) -> None:
    """--out writes the prepared images as a PNG file, --show prints them; --top says how many classes."""
    from PIL import Image

    test = load_dataset("digits").test
    np.save("a.npy", test.images[:2])
    done = mnistkit("predict", "a.npy", "--out", "seen.png", "--show", "--top", "2")
    seen = np.asarray(Image.open("seen.png"))
    assert np.array_equal(seen[:32:4, :32:4], test.images[0])
    assert np.array_equal(seen[:32:4, 36:68:4], test.images[1])
    assert len(done.out.splitlines()) == 2 * (4 + 1)
    assert done.out.splitlines()[4].count(",") == 1
    assert "name it .png" in mnistkit("predict", "a.npy", "--out", "seen.jpg", code=2).err


def test_a_name_holds_models_of_one_dataset(mnistkit: Program, trained: Trainer, tiny_mnist: DataSource) -> None:
    """A model of other data isn't registered as the next version of a name, unless that is allowed."""
    refused = mnistkit("train", "--data", tiny_mnist.uri, "--name", "sklearn_mnist", "--max-iter", "1", code=2)
    assert "is no next version of sklearn_mnist:1: images of 28 × 28 pixels, not 8 × 8 pixels" in refused.err  # noqa: RUF001
    assert trained.models.get("sklearn_mnist").version == 1
    mnistkit("models", "register", "latest", "sklearn_mnist", "--allow-other-data")
    assert trained.models.get("sklearn_mnist").version == 2
    assert mnistkit("models", "promote", "sklearn_mnist:1", "champion", "--if-better", "accuracy")
    refused = mnistkit("models", "promote", "sklearn_mnist:2", "champion", "--if-better", "accuracy", code=2)
    assert "different images" in refused.err


def test_an_unknown_experiment_lists_the_known_ones(mnistkit: Program, trained: Trainer) -> None:
    """A misspelt experiment is answered with those that there are."""
    assert "there are sklearn-mnist." in mnistkit("runs", "list", "--experiment", "sklern").err


def test_python_and_the_command_line_predict_alike(mnistkit: Program, trained: Trainer) -> None:
    """Trainer.predict gives the labels and the probabilities that the command prints, to the bit."""
    test = load_dataset("digits").test
    np.save("a.npy", test.images[:20])
    printed = mnistkit("predict", "a.npy", "--json").json
    found = trained.predict(test.images[:20], proba=True)
    assert [each["label"] for each in printed] == found.labels.tolist()
    assert [each["top"][0]["probability"] for each in printed] == [found.top(i, 1)[0][1] for i in range(20)]
    assert trained.predict("a.npy").labels.tolist() == found.labels.tolist()
    assert trained.predict(test, trained.load("sklearn_mnist")).labels[:20].tolist() == found.labels.tolist()


def test_a_raw_model_takes_pixels(trained: Trainer) -> None:
    """With raw=True images and rows of 0 to 255 are predicted as the scaled ones are without it."""
    test = load_dataset("digits").test
    expected = trained.load("sklearn_mnist").predict_proba(test.X())
    raw = trained.load("sklearn_mnist", raw=True)
    assert np.array_equal(raw.predict_proba(test.images), expected)
    assert np.array_equal(raw.predict_proba(test.images.reshape(len(test), -1)), expected)
    with pytest.raises(DataFormatError, match=r"expected \(n, h, w\) or \(n, h\*w\) with 64 pixels"):
        raw.predict(np.zeros((2, 28, 28)))


def test_arrays_of_another_size_are_scaled_on_demand(
    mnistkit: Program, trained: Trainer, tiny_mnist: DataSource
) -> None:
    """Without --resize they are refused with its name; with it files and test images are predicted."""
    np.save("large.npy", np.kron(load_dataset("digits").test.images[:2], np.ones((3, 3), np.uint8)))
    assert "--resize" in mnistkit("predict", "large.npy", code=1).err
    assert len(mnistkit("predict", "large.npy", "--resize", "--json").json) == 2
    found = mnistkit("predict", "--index", "1", "--data", tiny_mnist.uri, "--resize", "--json").json
    assert found[0]["source"].endswith("test[1]")


def test_a_table_that_is_not_finished_leaves_nothing(
    mnistkit: Program, trained: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where predicting stops half-way, the earlier table stays, and no part of the new one."""
    np.save("a.npy", load_dataset("digits").test.images[:300])
    mnistkit("predict", "a.npy", "--csv", "out.csv")
    before = Path("out.csv").read_text()
    assert len(before.splitlines()) == 301
    from mnistkit.evaluation.predictions import Predictor

    def failing(*_: Any, **__: Any) -> Any:
        raise DataFormatError("stopped half-way")

    monkeypatch.setattr(Predictor, "predict", failing)
    assert "half-way" in mnistkit("predict", "a.npy", "--csv", "out.csv", code=1).err
    assert Path("out.csv").read_text() == before
    assert sorted(path.name for path in Path().iterdir()) == ["a.npy", "out.csv"]
