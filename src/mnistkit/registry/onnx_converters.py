"""ONNX graphs of fitted models: scikit-learn's by skl2onnx, those of our image classifiers by converters for it.

A converter writes the formulas of its estimator as ONNX operators; what was fitted becomes initializers. Batches of any
length go through one graph.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mnistkit.estimators.accurate import AccurateClassifier
from mnistkit.estimators.deskew import MAX_SHEAR, MIN_VARIANCE_PIXELS, SCALES, STANDARD_SIZES
from mnistkit.estimators.energies import FAINTEST_EDGE, curvature_weights, directions
from mnistkit.estimators.gradients import INNER_DIRECTIONS, OrientedGradients
from mnistkit.estimators.nystroem_ridge import NystroemRidgeClassifier

__all__ = ["to_onnx"]

Array = NDArray[Any]

_OPSET: Final = 20  # the first in which GridSample samples as now; onnxruntime 1.20 has it
_TENSOR_TYPES: Final = {"float32": 1, "int64": 7, "string": 8, "float64": 11}  # numbers of ONNX's TensorProto.DataType


def to_onnx(model: Any, X: Array) -> bytes:
    """Return a fitted model as a serialized ONNX graph.

    Args:
        model: A scikit-learn model, ours among them, also as a part of a pipeline or an ensemble.
        X: ``(n, d) float32``, for the type of the input.

    Raises:
        ImportError: skl2onnx isn't installed.
        Exception: skl2onnx has no converter for the model, or it isn't fitted.
    """
    import skl2onnx

    _register()
    try:
        converted = skl2onnx.to_onnx(model, X[:1], options={id(model): {"zipmap": False}}, target_opset=_OPSET)
    except NameError:  # what returns an array anyway has no such option
        converted = skl2onnx.to_onnx(model, X[:1], target_opset=_OPSET)
    content: bytes = converted.SerializeToString()
    return content


def _register() -> None:
    """Add our converters to skl2onnx's table; idempotent."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    update_registered_converter(OrientedGradients, "MnistkitOrientedGradients", _features_shape, _convert_features)
    options = {"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [False, True]}
    for model in (NystroemRidgeClassifier, AccurateClassifier):
        update_registered_converter(
            model,
            f"Mnistkit{model.__name__}",
            calculate_linear_classifier_output_shapes,
            _convert_classifier,
            options=options,
        )


class _Graph:
    """The ONNX graph that a converter adds its nodes to: each call adds one, and returns the name of its output."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope, self._container = scope, container

    def __call__(self, operator: str, *inputs: str | Array | float, **attributes: Any) -> str:
        """Add a node; arrays among its inputs become initializers, numbers float32 ones."""
        output: str = self._scope.get_unique_variable_name(operator)
        self.write(output, operator, *inputs, **attributes)
        return output

    def write(self, output: str, operator: str, *inputs: str | Array | float, **attributes: Any) -> None:
        """Add a node whose output has a given name."""
        names = [each if isinstance(each, str) else self._initializer(np.asarray(each)) for each in inputs]
        self._container.add_node(
            operator, names, [output], name=self._scope.get_unique_operator_name(operator), **attributes
        )

    def _initializer(self, values: Array) -> str:
        from onnx.numpy_helper import from_array

        name: str = self._scope.get_unique_variable_name("initializer")
        if values.dtype.kind == "U":
            self._container.add_initializer(name, _TENSOR_TYPES["string"], values.shape, values.tolist())
        else:
            values = values.astype(np.float32) if values.ndim == 0 else values
            self._container.add_initializer(name, None, values.shape, from_array(np.ascontiguousarray(values)))
        return name


def _features_shape(operator: Any) -> None:
    from skl2onnx.common.data_types import FloatTensorType

    n = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = FloatTensorType([n, operator.raw_operator.n_features_out])


def _convert_features(scope: Any, operator: Any, container: Any) -> None:
    graph = _Graph(scope, container)
    features = _oriented_gradients(graph, operator.inputs[0].full_name, operator.raw_operator)
    graph.write(operator.outputs[0].full_name, "Identity", features)


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    graph, model, X = _Graph(scope, container), operator.raw_operator, operator.inputs[0].full_name
    if isinstance(model, AccurateClassifier):
        X, components, model = _oriented_gradients(graph, X, model.features_), model.components_, model.classifier_
        X = graph("MatMul", graph("Sub", X, components.mean_), components.projection_)
    scores = _kernel_scores(graph, X, model)
    classes = model.classes_.astype(str if model.classes_.dtype.kind in "OUS" else np.int64)
    label, probabilities = (output.full_name for output in operator.outputs)
    graph.write(label, "Gather", classes, graph("ArgMax", scores, axis=1, keepdims=0))
    scaled = graph("Mul", scores, np.full(1, 1 / model.temperature_, model.coef_.dtype))
    graph.write(probabilities, "Cast", graph("Softmax", scaled, axis=1), to=_TENSOR_TYPES["float32"])


def _kernel_scores(graph: _Graph, X: str, model: NystroemRidgeClassifier) -> str:
    """Add the scores of ``mnistkit.estimators.nystroem``, ``(n, k)`` of the landmarks' type."""
    centre = model.landmarks_.mean(axis=0)
    landmarks = model.landmarks_ - centre
    gamma = landmarks.dtype.type(model.gamma_)
    X = graph("Sub", graph("Cast", X, to=_TENSOR_TYPES[landmarks.dtype.name]), centre)
    squares = graph("Mul", graph("ReduceSumSquare", X, np.array([1])), np.full(1, gamma))
    products = graph("MatMul", X, (2 * gamma * landmarks).T)
    exponents = graph("Sub", products, gamma * np.einsum("ij,ij->i", landmarks, landmarks))
    exponents = graph("Min", graph("Sub", exponents, squares), np.zeros(1, landmarks.dtype))
    return graph("Add", graph("MatMul", graph("Exp", exponents), model.coef_), model.intercept_)


def _oriented_gradients(graph: _Graph, X: str, model: OrientedGradients) -> str:
    """Add the features of ``mnistkit.estimators.gradients``, ``(n, d) float32``."""
    h, w = model.image_shape_
    X = graph("Cast", X, to=_TENSOR_TYPES["float32"])
    X = _divided(graph, X, graph("ReduceMax", graph("Abs", X), np.array([1])))
    images = graph("Reshape", X, np.array([-1, 1, h, w]))
    if model.deskew or model.centre:
        images = _straightened(graph, X, images, model)
    if model.resize:
        images = _resized(graph, images, h, w)
    gradient = _gradient(graph, images, h, w)
    angles = directions(model.orientations)
    parts = [_pooled(graph, gradient, angles, model.windows_)]
    if model.order > 1:
        gx, gy = (graph("Slice", gradient, np.array([i]), np.array([i + 1]), np.array([1])) for i in range(2))
        second = graph("Concat", _gradient(graph, gx, h, w), _gradient(graph, gy, h, w), axis=1)
        weights = curvature_weights(model.orientations)
        # gxx, gxy, gyx, gyy: the two in the middle are the same, and gyx isn't taken.
        parts.append(_pooled(graph, second, np.insert(weights, 2, 0, axis=1), model.windows_))
        maps = graph("Sqrt", _pooled(graph, gradient, angles, model.map_windows_))
        size = math.isqrt(model.map_windows_.shape[1])
        inner = _gradient(graph, graph("Reshape", maps, np.array([-1, 1, size, size])), size, size)
        parts.append(_pooled(graph, inner, directions(INNER_DIRECTIONS), model.inner_windows_))
    widths = [len(angles) * model.cells**2, len(curvature_weights(model.orientations)) * model.cells**2]
    widths.append(model.n_features_out - sum(widths))
    finished = [_finished(graph, part, width, model) for part, width in zip(parts, widths, strict=False)]
    return graph("Concat", *finished, axis=1)


def _finished(graph: _Graph, energies: str, width: int, model: OrientedGradients) -> str:
    """Add means as rows, ``(n, width)``, with their root and length as the options want them."""
    features = graph("Reshape", energies, np.array([-1, width]))
    if model.root:
        features = graph("Sqrt", features)
    if model.normalize:
        features = _divided(graph, features, graph("Sqrt", graph("ReduceSumSquare", features, np.array([1]))))
    return features


def _gradient(graph: _Graph, images: str, h: int, w: int) -> str:
    """Add the gradient of ``(n, 1, h, w)``: ``(n, 2, h, w)``, x and y."""
    return graph("Concat", graph("MatMul", images, _differences(w).T), graph("MatMul", _differences(h), images), axis=1)


def _pooled(graph: _Graph, derivatives: str, weights: Array, windows: Array) -> str:
    """Add the means of ``mnistkit.estimators.energies``, ``(n, k, c)``, of weighted sums of derivatives."""
    flat = graph("Reshape", derivatives, np.array([-1, weights.shape[1], len(windows)]))
    projections = graph("Relu", graph("MatMul", weights, flat))
    means = graph("MatMul", graph("Mul", projections, projections), windows)
    return graph("Where", graph("Less", means, FAINTEST_EDGE**2), 0.0, means)


def _straightened(graph: _Graph, X: str, images: str, model: OrientedGradients) -> str:
    """Add the images of ``mnistkit.estimators.deskew``, ``(n, 1, h, w)``."""
    h, w = model.image_shape_
    x, y, shear = _moments(graph, X, h, w)
    rows, columns = np.arange(h, dtype=np.float32), np.arange(w, dtype=np.float32)
    # A step that is left out is multiplied by 0: the graph is the same for all options.
    down = graph("Mul", graph("Round", graph("Sub", y, (h - 1) / 2)), float(model.centre))
    source = graph("Add", down, rows)
    centring = graph("Mul", graph("Sub", x, (w - 1) / 2), float(model.centre))
    shearing = graph("Mul", graph("Mul", shear, float(model.deskew)), graph("Sub", source, y))
    sideways = graph("Unsqueeze", graph("Add", centring, shearing), np.array([2]))
    across = graph("Add", sideways, columns)
    along = graph("Add", graph("Unsqueeze", source, np.array([2])), np.zeros(w, np.float32))
    # GridSample's coordinates are -1 and 1 at the outer edges of the first and the last pixel.
    coordinates = [
        graph("Unsqueeze", graph("Sub", graph("Mul", graph("Add", pixels, 0.5), 2 / size), 1.0), np.array([3]))
        for pixels, size in ((across, w), (along, h))
    ]
    grid = graph("Concat", *coordinates, axis=3)
    return graph("GridSample", images, grid, align_corners=0, mode="linear", padding_mode="zeros")


def _resized(graph: _Graph, images: str, h: int, w: int) -> str:
    """Add the images of ``mnistkit.estimators.deskew.resize``, ``(n, 1, h, w)``."""
    mass = graph("ReduceSum", images, np.array([2, 3]))
    mass = graph("Where", graph("Greater", mass, 0.0), mass, 1.0)
    scalings = []
    for size, others, share in ((h, 3, STANDARD_SIZES[0]), (w, 2, STANDARD_SIZES[1])):
        pixels = np.arange(size, dtype=np.float32)
        profile = graph(
            "Div", graph("ReduceSum", images, np.array([others]), keepdims=0), graph("Squeeze", mass, np.array([3]))
        )
        centre = graph("MatMul", profile, pixels[:, None])
        squares = graph("MatMul", profile, (pixels * pixels)[:, None])
        variance = graph("Max", graph("Sub", squares, graph("Mul", centre, centre)), MIN_VARIANCE_PIXELS)
        scale = graph("Sqrt", graph("Div", graph("Sqrt", variance), share * size))
        scale = graph("Clip", scale, *SCALES)
        source = graph("Add", centre, graph("Mul", graph("Sub", pixels, centre), scale))
        distance = graph("Abs", graph("Sub", graph("Unsqueeze", source, np.array([3])), pixels))
        scalings.append(graph("Relu", graph("Sub", 1.0, distance)))
    down, across = scalings
    return graph("MatMul", graph("MatMul", down, images), graph("Transpose", across, perm=[0, 1, 3, 2]))


def _moments(graph: _Graph, X: str, h: int, w: int) -> tuple[str, str, str]:
    """Add the centre x and y in pixels, and the shear in pixels per row: ``(n, 1)`` each."""
    y, x = (axis.reshape(-1, 1).astype(np.float32) for axis in np.mgrid[:h, :w])
    mass = graph("MatMul", X, np.ones_like(x))
    empty = graph("LessOrEqual", mass, 0.0)
    mass = graph("Where", empty, 1.0, mass)
    mx, my, mxy, myy = (graph("Div", graph("MatMul", X, each), mass) for each in (x, y, x * y, y * y))
    variance = graph("Max", graph("Sub", myy, graph("Mul", my, my)), MIN_VARIANCE_PIXELS)
    shear = graph("Div", graph("Sub", mxy, graph("Mul", mx, my)), variance)
    return (
        graph("Where", empty, (w - 1) / 2, graph("Clip", mx, 0.0, w - 1.0)),
        graph("Where", empty, (h - 1) / 2, graph("Clip", my, 0.0, h - 1.0)),
        graph("Where", empty, 0.0, graph("Clip", shear, -MAX_SHEAR, MAX_SHEAR)),
    )


def _divided(graph: _Graph, values: str, lengths: str) -> str:
    """Add ``values`` divided by ``lengths``, ``(n, 1)``, where these are above 0."""
    return graph("Div", values, graph("Where", graph("Greater", lengths, 0.0), lengths, 1.0))


def _differences(size: int) -> Array:
    """Return the matrix of central differences, ``(size, size) float32``; both ends have none."""
    matrix = np.eye(size, k=1, dtype=np.float32) - np.eye(size, k=-1, dtype=np.float32)
    matrix[[0, -1]] = 0
    return matrix
