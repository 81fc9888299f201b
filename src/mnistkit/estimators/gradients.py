r"""Oriented gradients of grey images: a transformer from pixels to features.

Per image, after its brightest pixel is scaled to 1, and after deskewing, centring and resizing
(`mnistkit.estimators.deskew`):

1. the gradient :math:`(g_x, g_y)`, by central differences;
2. the half-rectified square of its projection on each of :math:`K` directions :math:`\theta_k = 2 \pi k / K`:
   :math:`e_k = \max(0, g_x \cos\theta_k + g_y \sin\theta_k)^2`;
3. the mean of each :math:`e_k` in ``cells`` x ``cells`` Gaussian windows, evenly spaced;
4. the square root of each mean, and all of them as a vector of length 1.

With ``order=2`` there are two more such vectors beside it. One has the energies of second derivatives in the same
windows (`mnistkit.estimators.energies`): strokes rather than edges. The other has the oriented gradients of the
oriented gradients: the square roots of the means in 10 x 10 windows are an image per direction, whose own energies in 4
directions are averaged in 4 x 4 windows. They tell corners and junctions. It is the idea of the second layer of
J. Bruna and S. Mallat, *Invariant scattering convolution networks*, IEEE Transactions on Pattern Analysis and Machine
Intelligence 35 (2013).

These are histograms of oriented gradients (N. Dalal and B. Triggs, *Histograms of oriented gradients for human
detection*, CVPR 2005) with soft votes and soft cells. S. Maji and J. Malik, *Fast and accurate digit classification*,
UCB/EECS-2009-159 (2009), showed how good such features are for digits with a kernel machine.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from mnistkit.estimators.deskew import resize, straighten
from mnistkit.estimators.energies import curvature_energies, curvature_weights, edge_energies, gaussian_windows
from mnistkit.estimators.parallel import blocks, for_each, one_blas_thread, thread_count

__all__ = ["INNER_DIRECTIONS", "OrientedGradients", "image_shape_of"]

Array = NDArray[Any]

INNER_DIRECTIONS: Final = 4  # of the gradients of gradients
_MAP_CELLS = 10
_INNER_CELLS = 4
_INNER_WINDOW = 0.5
_BLOCK_IMAGES = 256  # their gradients in one direction fit into a core's cache


class OrientedGradients(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Features of grey images: how much edge of each direction there is in each part of the image.

    See `mnistkit.estimators.gradients` for the formulas. Nothing is learnt but the images' shape. The features don't
    depend on the scale of the intensities, and are float32.

    Args:
        image_shape: ``(h, w)`` of the images; None for squares.
        deskew: Shear each image upright, a prior for handwritten characters.
        centre: Move each image's centre of mass to the middle.
        resize: Bring each image's height and width nearer to those of the others.
        order: 2 for second derivatives and gradients of gradients as well: three times as many features.
        orientations: How many directions, at least 1.
        cells: How many windows per row and per column, at least 1.
        window: The standard deviation of the Gaussian windows, in distances between two of them.
        root: Take the square root of the means, which weighs faint edges more.
        normalize: Scale each image's features to length 1.
        n_jobs: Threads; None for one per core, negative numbers as in joblib.

    Attributes:
        image_shape_: ``(h, w)``.
        windows_: ``(h * w, cells**2)``, each column a window that sums to 1.
        map_windows_: ``(h * w, 100)``, with order 2: those of the images that gradients of gradients are taken of.
        inner_windows_: ``(100, 16)``, with order 2: those of the gradients of gradients.
        n_features_in_: ``h * w``.
    """

    def __init__(
        self,
        image_shape: tuple[int, int] | None = None,
        *,
        deskew: bool = True,
        centre: bool = True,
        resize: bool = False,
        order: Literal[1, 2] = 1,
        orientations: int = 8,
        cells: int = 7,
        window: float = 0.5,
        root: bool = True,
        normalize: bool = True,
        n_jobs: int | None = None,
    ) -> None:
        self.image_shape = image_shape
        self.deskew = deskew
        self.centre = centre
        self.resize = resize
        self.order = order
        self.orientations = orientations
        self.cells = cells
        self.window = window
        self.root = root
        self.normalize = normalize
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> OrientedGradients:  # noqa: ARG002 - scikit-learn's shape
        """Learn the images' shape.

        Args:
            X: ``(n, h * w)``: each row an image, row by row.
            y: Ignored.

        Raises:
            ValueError: An option can't be, or the shape doesn't fit the number of columns.
        """
        X = validate_data(self, X, dtype=[np.float32, np.float64, np.uint8])
        return self.fit_columns(X.shape[1])

    def fit_columns(self, n_columns: int) -> OrientedGradients:
        """Fit to rows of ``n_columns`` pixels, which is all that `fit` reads of its data; raises as `fit`."""
        for name, value in (("orientations", self.orientations), ("cells", self.cells)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{name}={value!r}: use a whole number of at least 1.")
        if self.order not in {1, 2}:
            raise ValueError(f"order={self.order!r}: use 1 or 2.")
        if not self.window > 0:
            raise ValueError(f"window={self.window!r}: use a number above 0.")
        self.image_shape_ = image_shape_of(n_columns, self.image_shape)
        self.n_features_in_ = n_columns
        self.windows_ = gaussian_windows(self.image_shape_, self.cells, self.window)
        if self.order > 1:  # else a model's file would hold them for nothing
            self.map_windows_ = gaussian_windows(self.image_shape_, _MAP_CELLS, self.window)
            self.inner_windows_ = gaussian_windows((_MAP_CELLS, _MAP_CELLS), _INNER_CELLS, _INNER_WINDOW)
        return self

    @property
    def n_features_out(self) -> int:
        """The number of features: ``orientations * cells**2``, and those of second order."""
        n = self.orientations * self.cells**2
        if self.order == 1:
            return n
        n += len(curvature_weights(self.orientations)) * self.cells**2
        return n + self.orientations * INNER_DIRECTIONS * _INNER_CELLS**2

    def transform(self, X: Any) -> Array:
        """Return the features, ``(n, n_features_out) float32``, directions first.

        Args:
            X: ``(n, h * w)``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float32, np.float64, np.uint8])
        features = np.empty((len(X), self.n_features_out), np.float32)

        def work(block: tuple[int, int]) -> None:
            part = slice(*block)
            features[part] = self.transform_block(X[part])

        with one_blas_thread():
            for_each(work, blocks(len(X), _BLOCK_IMAGES), thread_count(self.n_jobs))
        return features

    def transform_block(self, X: Array) -> Array:
        """Return the features of some images, on the calling thread, unchecked: for ``TransformedRows``.

        Args:
            X: ``(b, h * w)``, of a fitted transformer's width.
        """
        features = np.empty((len(X), self.n_features_out), np.float32)
        for start, stop in blocks(len(X), _BLOCK_IMAGES):
            images = _scaled_to_one(X[start:stop].reshape(-1, *self.image_shape_))
            if self.deskew or self.centre:
                images = straighten(images, deskew=self.deskew, centre=self.centre)
            if self.resize:
                images = resize(images)
            parts = [self._finished(each) for each in self._energies(images)]
            np.concatenate(parts, axis=1, out=features[start:stop])
        return features

    def _energies(self, images: Array) -> list[Array]:
        """Return the means of each kind of energy, ``(b, ..., cells)``."""
        if self.order == 1:
            return [edge_energies(images, self.orientations, self.windows_)]
        edges = edge_energies(images, self.orientations, np.hstack([self.windows_, self.map_windows_]))
        means, maps = np.split(edges, [self.cells**2], axis=2)
        lines = curvature_energies(images, self.orientations, self.windows_)
        inner = edge_energies(np.sqrt(maps).reshape(-1, _MAP_CELLS, _MAP_CELLS), INNER_DIRECTIONS, self.inner_windows_)
        return [means, lines, inner.reshape(len(images), self.orientations, -1)]

    def _finished(self, energies: Array) -> Array:
        """Return means as rows, with the root and the length that the options give them."""
        flat: Array = energies.reshape(len(energies), math.prod(energies.shape[1:]))
        if self.root:
            flat = np.sqrt(flat)
        if self.normalize:
            length = np.sqrt(np.einsum("ij,ij->i", flat, flat))
            flat = flat / np.where(length > 0, length, 1)[:, None]
        return flat

    def get_feature_names_out(self, input_features: Any = None) -> Array:  # noqa: ARG002 - scikit-learn's shape
        """Return a name per feature: ``edge0_cell0_0`` is direction 0 in the cell at the upper left."""
        check_is_fitted(self)
        cells = [f"cell{i}_{j}" for i in range(self.cells) for j in range(self.cells)]
        names = [f"edge{k}_{cell}" for k in range(self.orientations) for cell in cells]
        if self.order > 1:
            inner = [f"cell{i}_{j}" for i in range(_INNER_CELLS) for j in range(_INNER_CELLS)]
            names += [f"line{k}_{cell}" for k in range(len(curvature_weights(self.orientations))) for cell in cells]
            pairs = [(k, other) for k in range(self.orientations) for other in range(INNER_DIRECTIONS)]
            names += [f"edge{k}_edge{other}_{cell}" for k, other in pairs for cell in inner]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that the features are float32, whatever the images are."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def image_shape_of(n_columns: int, image_shape: tuple[int, int] | None) -> tuple[int, int]:
    """Return ``(h, w)``, with h * w = ``n_columns``: as given, or of a square.

    Where it isn't given and there is no such square, it is the shape nearest to one, with a warning.

    Raises:
        ValueError: ``image_shape`` doesn't fit.
    """
    if image_shape is not None:
        shape = tuple(int(length) for length in image_shape)
        if len(shape) != 2 or min(shape) < 1 or shape[0] * shape[1] != n_columns:  # noqa: PLR2004 - h and w
            raise ValueError(f"image_shape={image_shape!r} doesn't fit: rows have {n_columns} columns.")
        return shape
    h = math.isqrt(n_columns)
    if h * h != n_columns:
        h = next(length for length in range(h, 0, -1) if n_columns % length == 0)
        warnings.warn(
            f"{n_columns} columns are no square image: taken as {h} x {n_columns // h}. Give image_shape=(h, w).",
            UserWarning,
            stacklevel=3,
        )
    return h, n_columns // h


def _scaled_to_one(images: Array) -> Array:
    """Return images as float32 whose largest absolute value is 1; empty ones stay empty."""
    values = images if images.dtype == np.float64 else images.astype(np.float32)
    peak = np.abs(values).max(axis=(1, 2), keepdims=True)
    scaled: Array = (values / np.where(peak > 0, peak, 1)).astype(np.float32, copy=False)
    return scaled
