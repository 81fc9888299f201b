r"""Energies of grey images by direction: squared derivatives, averaged in Gaussian windows.

With the gradient :math:`(g_x, g_y)` by central differences, the energy of direction :math:`\theta` is the
half-rectified square of the derivative that points there. That of first order is
:math:`\max(0, g_x \cos\theta + g_y \sin\theta)^2`,
and tells edges. That of second order takes :math:`g_{xx} \cos^2\theta + 2 g_{xy} \cos\theta \sin\theta + g_{yy}
\sin^2\theta`, whose positive and negative parts tell dark and bright lines.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FAINTEST_EDGE",
    "curvature_energies",
    "curvature_weights",
    "directions",
    "edge_energies",
    "gaussian_windows",
]

Array = NDArray[Any]

FAINTEST_EDGE = 1e-5  # next to a brightest pixel of 1


def directions(count: int) -> Array:
    """Return unit vectors ``(count, 2) float32``, evenly spaced over the circle: x and y."""
    angles = 2 * math.pi * np.arange(count) / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def curvature_weights(count: int) -> Array:
    """Return weights of gxx, gxy and gyy, ``(k, 3) float32``: half as many directions, each with both signs.

    A second derivative is the same in opposite directions: k is ``count``, or one more if that is odd.
    """
    half = -(-count // 2)
    x, y = directions(2 * half)[:half].T
    weights = np.stack([x * x, 2 * x * y, y * y], axis=1)
    return np.stack([weights, -weights], axis=1).reshape(-1, 3)


def edge_energies(images: Array, count: int, windows: Array) -> Array:
    """Return the means of first-order energies, ``(b, count, c) float32``.

    Args:
        images: ``(b, h, w) float32``.
        count: The number of directions.
        windows: ``(h * w, c) float32``, each column a window.
    """
    return _pooled(_gradient(images), directions(count), windows)


def curvature_energies(images: Array, count: int, windows: Array) -> Array:
    """Return the means of second-order energies, ``(b, k, c) float32``, for the k of `curvature_weights`."""
    gx, gy = _gradient(images)
    gxx, gxy = _gradient(gx)
    _, gyy = _gradient(gy)
    return _pooled((gxx, gxy, gyy), curvature_weights(count), windows)


def gaussian_windows(shape: tuple[int, int], cells: int, width: float) -> Array:
    """Return evenly spaced Gaussian windows, ``(h * w, cells**2) float32``; each sums to 1.

    Args:
        shape: ``(h, w)``.
        cells: Windows per row and per column.
        width: Their standard deviation, in distances between two of them.
    """
    h, w = shape
    return np.kron(_windows(h, cells, width), _windows(w, cells, width))


def _pooled(derivatives: tuple[Array, ...], weights: Array, windows: Array) -> Array:
    """Return the windows' means of the energies of weighted sums of derivatives, one sum after the other."""
    n = len(derivatives[0])
    pooled = np.empty((n, len(weights), windows.shape[1]), np.float32)
    energy, term = np.empty_like(derivatives[0]), np.empty_like(derivatives[0])
    for k, row in enumerate(weights):
        np.multiply(derivatives[0], row[0], out=energy)
        for derivative, weight in zip(derivatives[1:], row[1:], strict=True):
            energy += np.multiply(derivative, weight, out=term)
        np.maximum(energy, 0, out=energy)
        np.square(energy, out=energy)
        np.matmul(energy.reshape(n, -1), windows, out=pooled[:, k])
    # What rounding leaves where there is no edge would become a feature once it is scaled to length 1.
    pooled[pooled < FAINTEST_EDGE**2] = 0
    return pooled


def _gradient(images: Array) -> tuple[Array, Array]:
    """Return the central differences along x and y; 0 at the borders."""
    gx, gy = np.zeros_like(images), np.zeros_like(images)
    np.subtract(images[:, :, 2:], images[:, :, :-2], out=gx[:, :, 1:-1])
    np.subtract(images[:, 2:], images[:, :-2], out=gy[:, 1:-1])
    return gx, gy


def _windows(size: int, cells: int, width: float) -> Array:
    """Return Gaussian windows along one axis, ``(size, cells) float32``; each sums to 1."""
    spacing = size / cells
    centres = (np.arange(cells) + 0.5) * spacing - 0.5
    weights = np.exp(-0.5 * ((np.arange(size)[:, None] - centres) / (width * spacing)) ** 2)
    windows: Array = (weights / weights.sum(axis=0)).astype(np.float32)
    return windows
