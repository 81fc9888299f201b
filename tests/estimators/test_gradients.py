"""Deskewing and oriented gradients, against their formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from mnistkit.estimators import OrientedGradients
from mnistkit.estimators.deskew import resize, straighten


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([OrientedGradients(), OrientedGradients(order=2, resize=True)])
def test_it_is_a_scikit_learn_transformer(estimator: Any, check: Any) -> None:
    """It passes all of scikit-learn's own checks of a transformer."""
    check(estimator)


def stroke(h: int, w: int, shear: float, x: float, y: float) -> Any:
    """A thick line of so much slant about a point."""
    rows, columns = np.mgrid[:h, :w]
    across = columns - x - shear * (rows - y)
    return np.exp(-((across / 1.5) ** 2) - ((rows - y) / (h / 6)) ** 2).astype(np.float32)


def covariance(image: Any) -> tuple[float, float, float]:
    """The centre x and y, and the covariance of x and y."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    mass = image / image.sum()
    mx, my = (mass * x).sum(), (mass * y).sum()
    return mx, my, (mass * (x - mx) * (y - my)).sum()


@pytest.mark.parametrize("shape", [(28, 28), (20, 32), (33, 24)])
@given(shear=st.floats(-0.6, 0.6), dx=st.floats(-2, 2), dy=st.floats(-2, 2))
@settings(max_examples=20, deadline=None)
def test_a_slanted_stroke_stands_upright_in_the_middle(
    shape: tuple[int, int], shear: float, dx: float, dy: float
) -> None:
    """Whatever its slant and place, x and y are uncorrelated afterwards, and the centre of mass is in the middle."""
    h, w = shape
    image = stroke(h, w, shear, (w - 1) / 2 + dx, (h - 1) / 2 + dy)
    x, y, slant = covariance(straighten(image[None])[0])
    assert abs(slant) < 0.05
    assert abs(x - (w - 1) / 2) < 0.05
    assert abs(y - (h - 1) / 2) <= 0.51


@pytest.mark.parametrize("shape", [(9, 9), (40, 5), (5, 30)])
def test_pixels_are_read_where_the_shear_says(shape: tuple[int, int]) -> None:
    """Each pixel is the linear interpolation between its two sources; those outside the image count as 0."""
    h, w = shape
    image = np.full(shape, 0.001, np.float32)
    image[h // 2 - 2 : h // 2 + 3, :5] += np.eye(5, dtype=np.float32)
    x, y = (np.average(axis, weights=image) for axis in np.mgrid[:h, :w][::-1])
    rows, columns = np.mgrid[:h, :w]
    variance, covariance_ = (np.average(axis, weights=image) for axis in ((rows - y) ** 2, (rows - y) * (columns - x)))
    shear, down = np.clip(covariance_ / variance, -1, 1), round(y - (h - 1) / 2)
    expected = np.zeros(shape)
    for i in range(max(0, -down), min(h, h - down)):
        where = np.arange(w) + x - (w - 1) / 2 + shear * (i + down - y)
        expected[i] = np.interp(where, np.arange(-1, w + 1), np.pad(image[i + down], 1))
    np.testing.assert_allclose(straighten(image[None])[0], expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(28, 28), (20, 36)])
def test_sizes_come_nearer_to_each_other(shape: tuple[int, int]) -> None:
    """A small and a large blob keep their centres; the ratio of their sizes becomes its square root."""
    h, w = shape
    rows, columns = np.mgrid[:h, :w]
    y, x = h / 2 - 1.3, w / 2 + 0.8
    blobs = [np.exp(-(((rows - y) / s / h) ** 2 + ((columns - x) / s / w) ** 2) / 2) for s in (0.14, 0.19)]
    small, large = resize(np.array(blobs, np.float32))
    for image in (small, large):
        np.testing.assert_allclose(covariance(image)[:2], (x, y), atol=0.4)
    before, after = (
        np.log([((across**2 * each).sum() / each.sum()) for each in pair])
        for pair, across in ((blobs, rows - y), ((small, large), rows - y))
    )
    np.testing.assert_allclose(np.diff(after), np.diff(before) / 2, atol=0.12)
    np.testing.assert_array_equal(resize(np.zeros((1, h, w), np.float32)), 0)


def test_second_order_sees_lines_and_corners() -> None:
    """An upright bright line has its curvature across; lines and a corner differ in the gradients of gradients."""
    line = np.zeros((28, 28), np.float32)
    line[:, 13:15] = 1
    transformer = OrientedGradients(deskew=False, centre=False, order=2).fit_columns(784)
    features = dict(
        zip(transformer.get_feature_names_out(), transformer.transform(line.reshape(1, -1))[0], strict=True)
    )
    sums = [sum(v for name, v in features.items() if name.startswith(f"line{k}_")) for k in range(8)]
    # Directions 0, 45, 90 and 135 degrees, each with a dark and a bright line: across this one it is bright.
    assert np.argmax(sums) == 1
    assert sums[4] == sums[5] == 0
    lengths = [math.sqrt(sum(v * v for n, v in features.items() if n.startswith(kind))) for kind in ("line", "edge")]
    np.testing.assert_allclose(lengths, [1, math.sqrt(2)], rtol=1e-5)
    assert features["edge0_edge0_cell1_1"] > 0 == features["edge2_edge0_cell1_1"]


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (9, 14), (2, 3)])
def test_second_order_scales_and_batches(shape: tuple[int, int]) -> None:
    """Features of second order depend on no other image of a batch, nor on the intensities' scale."""
    X = np.random.default_rng(0).random((300, shape[0] * shape[1])).astype(np.float32)
    transformer = OrientedGradients(shape, order=2, resize=True, cells=3, orientations=6).fit(X)
    features = transformer.transform(X)
    assert features.shape == (300, 6 * 9 + 6 * 9 + 6 * 4 * 16)
    np.testing.assert_allclose(transformer.transform(200 * X[290:]), features[290:], atol=2e-3)


def test_each_step_can_be_left_out() -> None:
    """Without deskewing the slant stays, without centring the place; without both nothing changes."""
    image = stroke(28, 28, 0.5, 15.5, 12.0)
    x, y, slant = covariance(image)
    centred = covariance(straighten(image[None], deskew=False)[0])
    upright = covariance(straighten(image[None], centre=False)[0])
    assert centred[2] == pytest.approx(slant, abs=0.1)
    assert centred[0] == pytest.approx(13.5, abs=0.01)
    assert upright[:2] == pytest.approx((x, y), abs=0.01)
    assert abs(upright[2]) < 0.05
    np.testing.assert_array_equal(straighten(image[None], deskew=False, centre=False)[0], image)


def test_images_without_mass_or_with_odd_values_stay_finite() -> None:
    """An empty image is returned as it is; negative, single and huge pixels give finite images."""
    images = np.zeros((5, 6, 7), np.float32)
    images[1] = -1
    images[2, 5, 6] = 255
    images[3, 0] = 1e30
    images[4] = np.random.default_rng(0).normal(size=(6, 7))
    straight = straighten(images)
    np.testing.assert_array_equal(straight[0], 0)
    assert np.isfinite(straight).all()
    features = OrientedGradients((6, 7)).fit_transform(images.reshape(5, -1))
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(features[0], 0)
    huge = OrientedGradients((6, 7)).fit_transform(images[4:].reshape(1, -1).astype(float) * 1e300)
    np.testing.assert_allclose(huge, features[4:], atol=1e-3)


def by_the_formula(image: Any, orientations: int, cells: int, window: float) -> Any:
    """The features of one image, pixel by pixel in float64."""
    h, w = image.shape
    features = np.zeros((orientations, cells, cells))
    for k in range(orientations):
        angle = 2 * math.pi * k / orientations
        for i in range(cells):
            for j in range(cells):
                total = weights = 0.0
                for y in range(h):
                    for x in range(w):
                        cy, cx = (i + 0.5) * h / cells - 0.5, (j + 0.5) * w / cells - 0.5
                        weight = math.exp(-(((y - cy) / (window * h / cells)) ** 2) / 2)
                        weight *= math.exp(-(((x - cx) / (window * w / cells)) ** 2) / 2)
                        gx = float(image[y, x + 1]) - float(image[y, x - 1]) if 0 < x < w - 1 else 0.0
                        gy = float(image[y + 1, x]) - float(image[y - 1, x]) if 0 < y < h - 1 else 0.0
                        total += weight * max(0.0, gx * math.cos(angle) + gy * math.sin(angle)) ** 2
                        weights += weight
                features[k, i, j] = math.sqrt(total / weights)
    return features.ravel() / np.linalg.norm(features)


@pytest.mark.parametrize(("orientations", "cells", "window"), [(8, 7, 0.5), (5, 3, 0.8), (1, 1, 2.0)])
def test_features_are_the_formulas(orientations: int, cells: int, window: float) -> None:
    """They are what the module's four steps say."""
    image = np.random.default_rng(0).random((9, 12)).astype(np.float32)
    features = OrientedGradients(
        (9, 12), orientations=orientations, cells=cells, window=window, deskew=False, centre=False
    ).fit_transform(image.reshape(1, -1))
    np.testing.assert_allclose(features[0], by_the_formula(image, orientations, cells, window), atol=1e-5)


def test_root_and_length_are_options() -> None:
    """Without the root the means are squared; without a length of 1, edges count as the brightest pixel has them."""
    X = np.random.default_rng(0).random((3, 64)).astype(np.float32)
    plain = OrientedGradients(root=False, normalize=False).fit_transform(X)
    rooted = OrientedGradients(normalize=False).fit_transform(X)
    np.testing.assert_allclose(rooted**2, plain, rtol=1e-4)
    unit = OrientedGradients().fit_transform(X)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(unit * np.linalg.norm(rooted, axis=1)[:, None], rooted, rtol=1e-4)


def test_bytes_give_the_features_of_fractions() -> None:
    """The intensities' scale and type don't matter."""
    images = np.random.default_rng(0).integers(0, 256, (300, 400), dtype=np.uint8)
    expected = OrientedGradients().fit_transform(images)
    assert expected.dtype == np.float32
    for X in (images / 255, (images / 255).astype(np.float32), images.astype(float) * 1000):
        np.testing.assert_allclose(OrientedGradients().fit_transform(X), expected, atol=2e-4)


def test_where_a_digit_lies_doesnt_matter() -> None:
    """Moved by whole pixels within an empty frame, an image has the same features."""
    image = np.zeros((28, 28), np.float32)
    image[9:19, 10:18] = np.random.default_rng(0).random((10, 8))
    moved = np.stack([np.roll(image, move, axis=(0, 1)) for move in [(0, 0), (3, -2), (-4, 5)]])
    features = OrientedGradients().fit_transform(moved.reshape(3, -1))
    np.testing.assert_allclose(features[1:], features[[0, 0]], atol=1e-3)


def test_threads_and_blocks_dont_change_the_features() -> None:
    """One thread or three, one image or a thousand: the features are the same."""
    X = np.random.default_rng(0).random((1000, 100))
    one = OrientedGradients(n_jobs=1).fit_transform(X)
    np.testing.assert_array_equal(OrientedGradients(n_jobs=3).fit_transform(X), one)
    np.testing.assert_allclose(OrientedGradients().fit(X).transform(X[700:701]), one[700:701], atol=1e-5)


def test_the_shape_is_a_square_unless_it_is_given() -> None:
    """What is no square is taken as nearly one, with a warning; a shape that doesn't fit is an error."""
    X = np.random.default_rng(0).random((2, 600))
    with pytest.warns(UserWarning, match="600 columns are no square image: taken as 24 x 25"):
        assert OrientedGradients().fit(X).image_shape_ == (24, 25)
    assert OrientedGradients((30, 20)).fit(X).image_shape_ == (30, 20)
    assert OrientedGradients().fit(X[:, :400]).image_shape_ == (20, 20)
    for bad in [(30, 21), (0, 600), (-20, -30), (600,), (10, 10, 6)]:
        with pytest.raises(ValueError, match=r"image_shape=.* doesn't fit: rows have 600 columns"):
            OrientedGradients(bad).fit(X)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("options", [{"cells": 0}, {"orientations": 0}, {"cells": 2.5}, {"window": 0}])
def test_bad_options_are_named(options: dict[str, Any]) -> None:
    """An option that can't be is a ValueError that names it."""
    with pytest.raises(ValueError, match=next(iter(options))):
        OrientedGradients(**options).fit(np.zeros((2, 16)))


def test_features_have_names() -> None:
    """Each has the name of its direction and cell."""
    model = OrientedGradients(orientations=2, cells=3).fit(np.zeros((1, 16)))
    names = model.get_feature_names_out()
    assert len(names) == model.n_features_out == 18
    assert (names[0], names[-1]) == ("edge0_cell0_0", "edge1_cell2_2")
