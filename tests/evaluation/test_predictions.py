"""Predictions for images of any form, prepared as the model's training data was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from mnistkit.data.split import Split
from mnistkit.errors import DataFormatError, ModelError, NotFoundError, UsageError
from mnistkit.evaluation.images import read_images
from mnistkit.evaluation.predictions import Predictor, predict_images, predictor_of
from mnistkit.evaluation.predictions import _predictor as predictor
from mnistkit.evaluation.results import classifier_of
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models.input import InputSpec
from mnistkit.models.raw import raw_pipeline

pd = pytest.importorskip("pandas", reason="pandas isn't installed")
Image = pytest.importorskip("PIL.Image", reason="the extra 'cli' isn't installed")

WIDE = InputSpec(height=7, width=28, inverted=False, centred=False, class_names=("left", "middle", "right"))


def bar(place: int, *, ground: int = 5, ink: int = 230) -> np.ndarray[Any, Any]:
    """A 7x28 image with a bar at the left, in the middle or at the right."""
    image = np.full((7, 28), ground, dtype=np.uint8)
    image[1:6, 2 + 9 * place : 8 + 9 * place] = ink
    return image


@pytest.fixture(scope="module")
def wide() -> Predictor:
    """A model that tells where a bar is, in images of 7x28."""
    rng = np.random.default_rng(0)
    images = np.stack(
        [bar(place) + rng.integers(0, 9, (7, 28), dtype=np.uint8) for place in range(3) for _ in range(9)]
    )
    model = LogisticRegression().fit(images.reshape(27, -1) / np.float32(255), np.repeat(np.arange(3), 9))
    return predictor("wide", model, WIDE)


def test_files_are_prepared_as_the_training_data_was(wide: Predictor, tmp_path: Path) -> None:
    """A model of images that aren't square and weren't centred sees files as they are, at their place."""
    for place in range(3):
        Image.fromarray(bar(place)).resize((56, 14)).save(tmp_path / f"{place}.png")
    found = predict_images(wide, read_images(tmp_path, WIDE), proba=True)
    assert found.names == ("left", "middle", "right")
    assert found.images.shape == (3, 7, 28)
    assert found.probabilities is not None
    assert found.top(0, 1)[0] == ("left", found.probabilities[0, 0])


@pytest.mark.parametrize(
    "form",
    [
        lambda images: images,
        lambda images: images.reshape(3, -1),
        lambda images: images[:, None],
        lambda images: images / 255,
        lambda images: images.astype("int64"),
        lambda images: images.tolist(),
        lambda images: [Image.fromarray(image) for image in images],
        lambda images: __import__("pandas").DataFrame(images.reshape(3, -1)),
        list,
        iter,
        lambda images: (Image.fromarray(image) for image in images),
    ],
)
def test_arrays_of_any_usual_form_give_the_same(wide: Predictor, form: Any) -> None:
    """Images, rows, channels, floats, lists, tables and Pillow images are the same images."""
    images = np.stack([bar(2), bar(0), bar(1)])
    found = predict_images(wide, read_images(form(images), WIDE))
    assert np.array_equal(found.images, images)
    assert found.labels.tolist() == [2, 0, 1]
    assert found.probabilities is None


def test_a_file_that_cannot_be_read_does_not_stop_the_others(wide: Predictor, tmp_path: Path) -> None:
    """The others are predicted, and the failures have their reasons; if all fail, the first error is raised."""
    Image.fromarray(bar(1)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    found = predict_images(wide, read_images([tmp_path / "bad.png", tmp_path / "good.png"], WIDE))
    assert found.names == ("middle",)
    (failure,) = found.failures
    assert failure.source == str(tmp_path / "bad.png")
    assert "is no picture that can be read" in failure.reason
    with pytest.raises(DataFormatError, match="no picture"):
        predict_images(wide, read_images(tmp_path / "bad.png", WIDE))


def test_patterns_and_missing_files(wide: Predictor, tmp_path: Path) -> None:
    """A pattern means the files that it matches; a missing file and an empty folder are named."""
    for place in range(3):
        Image.fromarray(bar(place)).save(tmp_path / f"{place}.png")
    assert len(predict_images(wide, read_images(str(tmp_path / "[01].png"), WIDE))) == 2
    with pytest.raises(NotFoundError, match=r"no file .*none\.png"):
        predict_images(wide, read_images(tmp_path / "none.png", WIDE))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="holds no image"):
        read_images(tmp_path / "empty", WIDE)


def test_images_of_another_size_are_refused(wide: Predictor) -> None:
    """An array that doesn't fit the model is refused with both shapes."""
    with pytest.raises(DataFormatError, match=r"shape \(2, 28, 28\): expected \(7, 28\), \(n, 7, 28\) or \(n, 196\)"):
        predict_images(wide, read_images(np.zeros((2, 28, 28), np.uint8), WIDE))


def test_a_record_that_does_not_fit_is_refused(wide: Predictor) -> None:
    """A model that takes another number of pixels than its record says is refused, and so is what isn't square."""
    with pytest.raises(ModelError, match="takes 196 numbers, but its record says images of 8 × 8 pixels"):  # noqa: RUF001
        predictor("wide", wide.classifier, InputSpec(height=8, width=8))
    odd = LogisticRegression().fit(np.eye(3, 195), [0, 1, 2])
    with pytest.raises(ModelError, match="no record of their height"):
        predictor("odd", odd, None)


def test_a_model_without_a_record_is_taken_for_one_of_mnist(wide: Predictor) -> None:
    """Without a record the images are squares, cropped, inverted and centred; the note says that it is unknown."""
    found = predictor("old", wide.classifier, None)
    assert (found.spec.height, found.spec.width, found.spec.inverted, found.spec.centred) == (14, 14, True, True)
    assert "no record" in found.note


def test_batches_are_bounded(wide: Predictor) -> None:
    """Many images come in batches of at most 256, each once and in order."""
    images = np.stack([bar(i % 3) for i in range(600)])
    batches = list(wide.batches(read_images(images, WIDE)))
    assert [len(batch) for batch in batches] == [256, 256, 88]
    assert [label for batch in batches for label in batch.labels] == [i % 3 for i in range(600)]


def test_predictions_are_shown(wide: Predictor) -> None:
    """The table, the data frame and the notebook's view have the classes and their probabilities."""
    found = predict_images(wide, read_images(np.stack([bar(0), bar(2)]), WIDE), proba=True)
    frame = found.to_pandas()
    assert list(frame.columns) == ["source", "label", "name", "left", "middle", "right"]
    assert frame["name"].tolist() == ["left", "right"]
    assert found.describe().tables[0].rows[1][:2] == ("image 1", "right")
    assert "right" in found._repr_html_()
    assert repr(found) == "Predictions('wide', 2 images: 'left', 'right')"


def test_images_of_another_size_are_scaled_on_demand(wide: Predictor, tmp_path: Path) -> None:
    """With resize, arrays, rows, one image, a file of them and a split of another size are scaled to the model's."""
    images = np.stack([np.kron(bar(place), np.ones((2, 2), np.uint8)) for place in (2, 0)])
    with pytest.raises(DataFormatError, match="scaled with resize=True"):
        list(read_images(images, WIDE))
    np.save(tmp_path / "two.npy", images)
    split = Split(images=images, labels=np.array([2, 0], np.uint8))
    for form in (images, images[..., None], images / 255, tmp_path / "two.npy", split):
        found = predict_images(wide, read_images(form, WIDE, resize=True))
        assert found.names == ("right", "left")
        assert found.images.shape == (2, 7, 28)
    square = np.pad(images[0], ((21, 21), (0, 0)), constant_values=5)
    assert predict_images(wide, read_images(square, WIDE, resize=True)).images.shape == (1, 7, 28)


def test_many_images_are_one_value(wide: Predictor, tmp_path: Path) -> None:
    """Batches are joined: every image, its probabilities, and the failures among them."""
    images = np.stack([bar(i % 3) for i in range(600)])
    np.save(tmp_path / "a.npy", images)
    (tmp_path / "b.png").write_bytes(b"nothing")
    found = predict_images(wide, read_images(tmp_path, WIDE), proba=True)
    assert found.labels.tolist() == [i % 3 for i in range(600)]
    assert found.probabilities is not None
    assert found.probabilities.shape == (600, 3)
    assert len(found.sources) == len(found.images) == len(found.truth) == 600
    assert [each.source for each in found.failures] == [str(tmp_path / "b.png")]


def test_paths_in_any_container(wide: Predictor, tmp_path: Path) -> None:
    """Lists of Pillow images and paths, columns and arrays of paths, generators and sets name image files."""
    path = tmp_path / "a.png"
    Image.fromarray(bar(1)).save(path)
    for form in (
        str(path),
        [Image.fromarray(bar(1)), path],
        np.array([str(path)]),
        pd.Series([str(path)]),
        iter([path]),
        {path},
    ):
        assert set(predict_images(wide, read_images(form, WIDE)).names) == {"middle"}
    with pytest.raises(UsageError, match="a list holds arrays alone, or Pillow images and paths"):
        list(read_images([Image.fromarray(bar(1)), bar(1)], WIDE))
    for nothing in ("", [], iter([])):
        with pytest.raises(UsageError, match="no image to predict"):
            list(read_images(nothing, WIDE))


def test_one_row_is_one_image(wide: Predictor) -> None:
    """A single image, and a single row, are predicted."""
    for form in (bar(2), bar(2).ravel(), [bar(2).ravel()], pd.Series(bar(2).ravel())):
        assert predict_images(wide, read_images(form, WIDE)).names == ("right",)


def test_a_pipeline_of_raw_pixels_is_not_scaled_twice(wide: Predictor, tmp_path: Path) -> None:
    """What `load` returned with ``raw=True`` predicts and is evaluated as its classifier; regressors are refused."""
    raw = raw_pipeline(wide.classifier, WIDE)
    registry = FolderRegistry(tmp_path)
    assert predictor_of(raw, registry).classifier is wide.classifier is classifier_of(raw, registry)
    assert classifier_of(wide.classifier, registry) is wide.classifier
    images = np.stack([bar(2), bar(0)])
    assert raw.predict(images).tolist() == wide.classifier.predict(images.reshape(2, -1) / 255).tolist() == [2, 0]
    with pytest.raises(ModelError, match="is a Ridge, which predicts numbers"):
        predictor_of(Ridge().fit(images.reshape(2, -1), [0, 1]), registry)


def test_dark_images_are_noted(wide: Predictor, caplog: pytest.LogCaptureFixture) -> None:
    """Images of another range, such as 0 to 16, are predicted with a warning."""
    predict_images(wide, read_images(bar(1) // 16, WIDE))
    assert "the brightest pixel of images is 14 of 255" in caplog.text
