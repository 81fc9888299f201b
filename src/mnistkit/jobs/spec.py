"""Specs: estimators as JSON, by import path and parameters, nested for pipelines. Never a pickle."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import field, frozen

from mnistkit.errors import SpecError
from mnistkit.jobs.import_paths import import_path, imported
from mnistkit.jobs.objects import KINDS, made, parts_of
from mnistkit.utils.arguments import check_type

__all__ = ["JsonValue", "ModelSpec", "check_classifier", "spec_text"]

JsonValue = Any
"""None, bool, int, float, str, a list of these, or a dict of them by str."""

_Decoder = Callable[[Any, str], object]
_MAX_ARRAY_ITEMS = 10_000


@frozen
class ModelSpec:
    """An unfitted scikit-learn estimator as a value.

    What JSON can't say is written as an object with one key: ``{"$estimator": {"type", "params"}}``,
    ``{"$tuple": [...]}``, ``{"$dict": {...}}``, ``{"$float": "nan"}``, ``{"$array": {"dtype", "data"}}``,
    ``{"$object": "numpy.log1p"}`` for an importable function or class, and the kinds of `mnistkit.jobs.objects`.

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
        """Return a new, unfitted estimator.

        Raises:
            SpecError: The class can't be imported, or doesn't take these parameters.
        """
        cls = imported(self.type, self.type)
        if not inspect.isclass(cls) or not hasattr(cls, "get_params"):
            raise SpecError(f"{self.type} isn't a scikit-learn estimator: it has no get_params.")
        check_type(self.params, Mapping, f"The params of {self.type}", "values by name")
        params = {name: _decode(value, f"{self.type}.{name}") for name, value in self.params.items()}
        try:
            return cls(**params)
        except TypeError as error:
            raise SpecError(
                f"{self.type} refuses its parameters: {error}. Was it written for another version?"
            ) from error

    @property
    def import_paths(self) -> frozenset[str]:
        """The import path of every class and function that it names."""
        found, pending = {self.type}, [self.params]
        while pending:
            value: JsonValue = pending.pop()
            if isinstance(value, Mapping):
                path, inner = value.get("$object"), value.get("$estimator")
                found |= {path} if isinstance(path, str) else set()
                found |= {inner["type"]} if isinstance(inner, Mapping) else set()
                pending += value.values()
            elif isinstance(value, list):
                pending += value
        return frozenset(found)

    def __str__(self) -> str:
        """Return it as Python code: ``LogisticRegression(C=2.0)``."""
        inside = ", ".join(f"{name}={spec_text(value)}" for name, value in self.params.items())
        return f"{self.type.rpartition('.')[2]}({inside})"


def _describe(estimator: Any, where: str) -> ModelSpec:
    if inspect.isclass(estimator) or not hasattr(estimator, "get_params"):
        raise SpecError(f"{where} is {estimator!r:.80}: give an instance of a scikit-learn classifier or Pipeline.")
    cls = type(estimator)
    _check_configuration(estimator, where)
    if cls.__name__ == "FrozenEstimator":
        raise SpecError(f"{where} is a FrozenEstimator: what it has learnt can't travel. Pass an unfitted estimator.")
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is not parameter.empty
    }
    params = {
        name: _encode(value, f"{where}.{name}")
        for name, value in _params(estimator, where, deep=False).items()
        if not (name in defaults and _same(value, defaults[name]))
    }
    return ModelSpec(import_path(cls, where), params)


def _params(estimator: Any, where: str, *, deep: bool) -> dict[str, Any]:
    """Return an estimator's parameters, or say what its class has to do."""
    try:
        return dict(estimator.get_params(deep=deep))
    except Exception as error:
        raise SpecError(
            f"{where}: get_params raises {type(error).__name__}: {error}. Its constructor must keep each argument as "
            "an attribute of the same name."
        ) from error


def _check_configuration(estimator: Any, where: str) -> None:
    """Refuse what `sklearn.base.clone` keeps beside the parameters, and what the caller set for all estimators.

    A job is made of parameters alone, so that the run would silently be without it.
    """
    from sklearn import get_config

    config = get_config()
    transform = getattr(estimator, "_sklearn_output_config", {}).get("transform", "default")
    if transform == "default" and hasattr(estimator, "set_output"):
        transform = config.get("transform_output", "default")
    if transform != "default":
        raise SpecError(
            f"{where} has set_output(transform={transform!r}), of its own or by sklearn.set_config, which doesn't "
            "travel with a job: use the default, and name columns by their positions."
        )
    if getattr(estimator, "_metadata_request", None) is not None or config.get("enable_metadata_routing"):
        raise SpecError(
            f"{where} has metadata requests, of its own or by sklearn.set_config, which don't travel with a job: no "
            "metadata is passed when the job is fitted. Use an estimator without them."
        )
    if config.get("array_api_dispatch"):
        raise SpecError(
            f"sklearn.set_config(array_api_dispatch=True) doesn't travel with a job with {where}: unset it."
        )


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
    is_partial = isinstance(value, functools.partial)  # a routine from Python 3.14 on
    if inspect.isclass(value) or (inspect.isroutine(value) and not is_partial) or isinstance(value, np.ufunc):
        return {"$object": import_path(value, where)}
    if hasattr(value, "get_params"):
        spec = _describe(value, where)
        return {"$estimator": {"type": spec.type, "params": dict(spec.params)}}
    parts = parts_of(value)
    if parts is not None:
        kind, content = parts
        return {kind: [_encode(item, where) for item in content]}
    raise SpecError(
        f"{where} is {value!r:.80}, a {type(value).__name__}, which can't be written as JSON: {_advice(value)}."
    )


def _advice(value: object) -> str:
    """Return what to use instead of a value that doesn't travel."""
    import numpy as np

    if isinstance(value, (np.random.RandomState, np.random.Generator)):
        return "use an int, or None for the seed of the job"
    if isinstance(value, (set, frozenset, Iterator)):
        return "use a list or a tuple"
    if isinstance(value, (bytes, bytearray)):
        return "use text"
    return (
        "use a number, text, a list, a slice, an importable function, another estimator, one of scikit-learn's "
        "cross-validation splitters or a distribution of scipy.stats"
    )


def _encode_array(value: Any, where: str) -> JsonValue:
    if value.dtype.kind not in "biufU" or value.size > _MAX_ARRAY_ITEMS:
        raise SpecError(
            f"{where} is an array of {value.size} {value.dtype}: only numbers or text, "
            f"at most {_MAX_ARRAY_ITEMS} of them, can travel as a parameter."
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


def _decoder_of(kind: str) -> _Decoder:
    return lambda content, where: made(kind, [_decode(item, where) for item in content])


_DECODERS: Mapping[str, _Decoder] = {
    "$estimator": lambda content, where: ModelSpec(content["type"], content["params"]).build(),  # noqa: ARG005 - one shape
    "$tuple": lambda content, where: tuple(_decode(item, where) for item in content),
    "$dict": lambda content, where: {_decode(k, where): _decode(v, where) for k, v in content},
    "$float": lambda content, where: float(content),  # noqa: ARG005 - one shape
    "$array": _decode_array,
    "$object": imported,
    **{kind: _decoder_of(kind) for kind in KINDS},
}


def spec_text(value: JsonValue) -> str:
    """Return a parameter of a `ModelSpec` as Python code; ``...`` for what has no short one."""
    if isinstance(value, Mapping) and len(value) == 1:
        key, content = next(iter(value.items()))
        if key == "$estimator":
            return str(ModelSpec(content["type"], content["params"]))
        if key == "$tuple":
            return f"({', '.join(spec_text(item) for item in content)})"
        if key in {"$float", "$object"}:
            return str(content)
        return "..."
    if isinstance(value, list):
        return f"[{', '.join(spec_text(item) for item in value)}]"
    return repr(value)


def check_classifier(estimator: Any) -> None:
    """Check that ``estimator`` can learn classes, before it is submitted.

    Raises:
        SpecError: It isn't a scikit-learn classifier, nor a pipeline that ends in one.
    """
    from sklearn.base import ClassifierMixin, is_classifier

    name = type(estimator).__name__
    if inspect.isclass(estimator) or not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        raise SpecError(
            f"{estimator!r:.80} isn't a scikit-learn estimator: give a classifier such as LogisticRegression()."
        )
    # Some instances have it once they are fitted.
    if not (hasattr(type(estimator), "predict") or hasattr(estimator, "predict")):
        raise SpecError(
            f"{name} can't predict classes: it has no predict; give a classifier such as LogisticRegression()."
        )
    inner = (estimator, *_params(estimator, name, deep=True).values())
    for each in inner:
        if getattr(each, "refit", None) is False and hasattr(each, "scoring") and hasattr(each, "error_score"):
            raise SpecError(f"{type(each).__name__}(refit=False) finds parameters but fits no model: leave refit out.")
    try:
        is_one = is_classifier(estimator)
    except AttributeError as error:  # scikit-learn's, for a class without its tags
        raise SpecError(
            f"{name} isn't an estimator for this version of scikit-learn: write class {name}(ClassifierMixin, "
            "BaseEstimator)."
        ) from error
    if not is_one:
        for cls in dict.fromkeys(type(each) for each in inner if hasattr(each, "fit") and not is_classifier(each)):
            if issubclass(cls, ClassifierMixin):
                raise SpecError(
                    f"{cls.__name__} isn't a classifier for this version of scikit-learn, though ClassifierMixin is "
                    f"among its bases: put the mixins first, class {cls.__name__}(ClassifierMixin, BaseEstimator)."
                )
            if getattr(cls, "_estimator_type", None) == "classifier":
                raise SpecError(
                    f"{cls.__name__} sets _estimator_type, which scikit-learn no longer reads: write class "
                    f"{cls.__name__}(ClassifierMixin, BaseEstimator)."
                )
        raise SpecError(
            f"{name} can't predict classes: give a scikit-learn classifier such as LogisticRegression(), "
            "or a Pipeline that ends in one."
        )
