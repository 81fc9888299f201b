"""Estimators as JSON: an import path and parameters, nested for pipelines. Never a pickle."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from mnistkit.errors import SpecError

__all__ = ["JsonValue", "ModelSpec", "check_classifier", "lookup"]

JsonValue = Any
"""None, bool, int, float, str, a list of these, or a dict of them by str."""

_Decoder = Callable[[Any, str], object]
_MAX_ARRAY = 10_000


@frozen
class ModelSpec:
    """An unfitted scikit-learn estimator as a value.

    What JSON can't say is written as an object with one key: ``{"$estimator": {"type", "params"}}``,
    ``{"$tuple": [...]}``, ``{"$dict": {...}}``, ``{"$float": "nan"}``, ``{"$array": {"dtype", "data"}}``,
    ``{"$object": "numpy.log1p"}`` for an importable function or class.

    Attributes:
        type: The class's import path, such as ``"sklearn.linear_model.LogisticRegression"``.
        params: The parameters that differ from the class's defaults, as JSON.
    """

    type: str
    params: Mapping[str, JsonValue] = field(factory=dict)

    @classmethod
    def from_estimator(cls, estimator: Any) -> ModelSpec:
        """Describe an estimator; what it may have learnt is left behind.

        Args:
            estimator: Anything with scikit-learn's ``get_params``, parameters included.

        Raises:
            SpecError: A parameter can't be written as JSON, or a class isn't importable; names the parameter.
        """
        return _describe(estimator, type(estimator).__name__)

    def build(self) -> Any:
        """A new, unfitted estimator.

        Raises:
            SpecError: The class can't be imported, or doesn't take these parameters.
        """
        cls = _imported(self.type, self.type)
        if not inspect.isclass(cls) or not hasattr(cls, "get_params"):
            raise SpecError(f"{self.type} is no scikit-learn estimator: it has no get_params.")
        params = {name: _decode(value, f"{self.type}.{name}") for name, value in self.params.items()}
        try:
            return cls(**params)
        except TypeError as error:
            raise SpecError(
                f"{self.type} refuses its parameters: {error}. Was it written for another version?"
            ) from error

    def __str__(self) -> str:
        """As a person would write it: ``LogisticRegression(C=2.0)``."""
        inside = ", ".join(f"{name}={_text(value)}" for name, value in self.params.items())
        return f"{self.type.rpartition('.')[2]}({inside})"


def lookup(path: str) -> object:
    """What an import path such as ``"numpy.log1p"`` names; None if it can't be imported here."""
    module, _, name = path.rpartition(".")
    while module:
        try:
            value: object = importlib.import_module(module)
        except ImportError:
            module, _, head = module.rpartition(".")
            name = f"{head}.{name}"
            continue
        for part in name.split("."):
            value = getattr(value, part, None)
        return value
    return None


def _describe(estimator: Any, where: str) -> ModelSpec:
    if inspect.isclass(estimator) or not hasattr(estimator, "get_params"):
        raise SpecError(f"{where} is {estimator!r:.80}: give an instance of a scikit-learn classifier or Pipeline.")
    cls = type(estimator)
    if cls.__name__ == "FrozenEstimator":
        raise SpecError(f"{where} is a FrozenEstimator: what it has learnt can't travel. Pass an unfitted estimator.")
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is not parameter.empty
    }
    params = {
        name: _encode(value, f"{where}.{name}")
        for name, value in estimator.get_params(deep=False).items()
        if not (name in defaults and _same(value, defaults[name]))
    }
    return ModelSpec(_import_path(cls, where), params)


def _same(value: object, default: object) -> bool:
    if value is default:
        return True
    plain = (bool, int, float, str)
    return type(value) is type(default) and isinstance(value, plain) and value == default


def _encode(value: Any, where: str) -> JsonValue:  # noqa: PLR0911 - one return a kind of value
    import numpy as np

    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, (list, tuple)):
        items = [_encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, dict):
        return {"$dict": [[_encode(k, where), _encode(v, f"{where}[{k!r}]")] for k, v in value.items()]}
    if isinstance(value, np.ndarray):
        return _encode_array(value, where)
    if inspect.isclass(value) or inspect.isroutine(value) or isinstance(value, np.ufunc):
        return {"$object": _import_path(value, where)}
    if hasattr(value, "get_params"):
        spec = _describe(value, where)
        return {"$estimator": {"type": spec.type, "params": dict(spec.params)}}
    raise SpecError(
        f"{where} is {value!r:.80}, a {type(value).__name__}, which can't be written as JSON: use a number, text, "
        "a list, an importable function or another estimator (for random_state an int)."
    )


def _encode_array(value: Any, where: str) -> JsonValue:
    if value.dtype.kind not in "biufU" or value.size > _MAX_ARRAY:
        raise SpecError(
            f"{where} is an array of {value.size} {value.dtype}: only numbers or text, "
            f"at most {_MAX_ARRAY} of them, can travel as a parameter."
        )
    return {"$array": {"dtype": value.dtype.str, "data": _encode(value.tolist(), where)}}


def _decode(value: JsonValue, where: str) -> object:
    if isinstance(value, list):
        return [_decode(item, where) for item in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        key, content = next(iter(value.items()))
        decoder = _DECODERS.get(key)
        if decoder is not None:
            try:
                return decoder(content, where)
            except (KeyError, TypeError, ValueError) as error:
                if isinstance(error, SpecError):
                    raise
                raise SpecError(f"{where}: {key} holds {content!r:.80}, which it can't: {error}.") from error
    raise SpecError(f"{where} is {dict(value)!r:.80}: expected an object with one key out of {', '.join(_DECODERS)}.")


def _decode_array(content: Any, where: str) -> object:
    import numpy as np

    return np.array(_decode(content["data"], where), dtype=np.dtype(content["dtype"]))


_DECODERS: Mapping[str, _Decoder] = {
    "$estimator": lambda content, where: ModelSpec(content["type"], content["params"]).build(),  # noqa: ARG005 - one shape
    "$tuple": lambda content, where: tuple(_decode(item, where) for item in content),
    "$dict": lambda content, where: {_decode(k, where): _decode(v, where) for k, v in content},
    "$float": lambda content, where: float(content),  # noqa: ARG005 - one shape
    "$array": _decode_array,
    "$object": lambda content, where: _imported(content, where),  # noqa: PLW0108 - defined below
}


def _import_path(value: Any, where: str) -> str:
    """The shortest public path under which ``value`` can be imported."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None) or value.__name__
    if not module and hasattr(value, "__name__"):
        module = "numpy"  # ufuncs don't say where they live
    parts = (module or "").split(".")
    public = [part for part in parts if not part.startswith("_")] if len(parts) > 1 else parts
    for candidate in (".".join(public[:n]) for n in range(1, len(public) + 1)):
        if candidate != "__main__" and lookup(f"{candidate}.{name}") is value:
            return f"{candidate}.{name}"
    if module and module != "__main__" and lookup(f"{module}.{name}") is value:
        return f"{module}.{name}"
    raise SpecError(
        f"{where}: {name} lives in {module or 'no module'}, where another process can't import it. "
        "Define it at the top level of a module (a .py file) and import it from there."
    )


def _imported(path: str, where: str) -> Any:
    value = lookup(path) if isinstance(path, str) else None
    if value is None:
        raise SpecError(f"{where}: {path!r:.120} can't be imported here. Is its package installed, and its name right?")
    return value


def _text(value: JsonValue) -> str:
    if isinstance(value, Mapping) and len(value) == 1:
        key, content = next(iter(value.items()))
        if key == "$estimator":
            return str(ModelSpec(content["type"], content["params"]))
        if key == "$tuple":
            return f"({', '.join(_text(item) for item in content)})"
        if key in {"$float", "$object"}:
            return str(content)
        return "..."
    if isinstance(value, list):
        return f"[{', '.join(_text(item) for item in value)}]"
    return repr(value)


def check_classifier(estimator: Any) -> None:
    """Make sure that ``estimator`` can learn classes, before anything is spent on it.

    Raises:
        SpecError: It is no scikit-learn classifier, nor a pipeline that ends in one.
    """
    from sklearn.base import is_classifier

    name = type(estimator).__name__
    if inspect.isclass(estimator) or not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise SpecError(
            f"{estimator!r:.80} is no scikit-learn estimator: give a classifier such as LogisticRegression()."
        )
    if not is_classifier(estimator):
        raise SpecError(
            f"{name} can't predict classes: give a scikit-learn classifier such as LogisticRegression(), "
            "or a Pipeline that ends in one."
        )
