"""The parameters of a job by name, as numbers and text: what a list of runs shows, filters and sorts by."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mnistkit.jobs.job import Job, ScriptJob, TrainingJob
from mnistkit.jobs.signatures import DEFAULTS
from mnistkit.jobs.spec import JsonValue, spec_text
from mnistkit.utils.redaction import redacted_arguments

__all__ = ["Scalar", "default_parameters", "job_parameters"]

Scalar = str | int | float | bool | None
"""The value of a parameter."""

_MAX_PARAMETERS = 200
_MAX_VALUE_CHARS = 200
_MAX_DEPTH = 8


def job_parameters(job: Job) -> dict[str, Scalar]:
    """Return the parameters of a job by name.

    Those of an estimator are the ones that differ from its defaults, named as `set_params` of scikit-learn takes them:
    ``C``, or ``classify__C`` of the step ``classify`` of a pipeline, whose own value is the name of its class. Those of
    a script are its options without the hyphens; secrets are masked.

    Returns:
        At most 200, with texts of at most 200 characters.
    """
    if isinstance(job, TrainingJob):
        return _bounded(_of_model(job.model.params, "", 0))
    return _bounded(_of_script(job.arguments)) if isinstance(job, ScriptJob) else {}


def default_parameters(job: Job) -> dict[str, Scalar]:
    """Return the parameters that a job leaves at the defaults of its estimators, named as in `job_parameters`.

    A spec leaves them out, and another release may have others. Classes that this process hasn't imported are left
    out, and so are defaults that aren't numbers, text, bools or None.

    Returns:
        At most 200; none for a script.
    """
    if not isinstance(job, TrainingJob):
        return {}
    return _bounded(_defaults(job.model.type, job.model.params, "", 0))


def _bounded(pairs: Iterator[tuple[str, Scalar]]) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for name, value in pairs:
        if len(found) == _MAX_PARAMETERS:
            break
        found[name[:_MAX_VALUE_CHARS]] = value[:_MAX_VALUE_CHARS] if isinstance(value, str) else value
    return found


def _defaults(path: str, params: Mapping[str, JsonValue], prefix: str, depth: int) -> Iterator[tuple[str, Scalar]]:
    for name, value in (DEFAULTS.get(path) or _signature(path)).items():
        is_left = name not in params and isinstance(value, (str, int, float, bool, type(None)))
        if is_left and not (isinstance(value, float) and not math.isfinite(value)):
            yield f"{prefix}{name}", value
    for key, value in params.items():
        steps = [step for item in value if (step := _step(item))] if isinstance(value, list) else []
        for part, content in steps or [(key, value)]:
            inner = _estimator(content)
            if inner and depth < _MAX_DEPTH:
                yield from _defaults(str(inner["type"]), inner["params"], f"{prefix}{part}__", depth + 1)


def _signature(path: str) -> Mapping[str, Any]:
    """Return the parameters of a class with their defaults; none of one that this process hasn't imported."""
    module, _, name = path.rpartition(".")
    cls = getattr(sys.modules.get(module), name, None)  # looked up, not imported: that would run code
    parameters = inspect.signature(cls).parameters.values() if inspect.isclass(cls) else ()
    return {parameter.name: parameter.default for parameter in parameters}


def _of_model(params: Mapping[str, JsonValue], prefix: str, depth: int) -> Iterator[tuple[str, Scalar]]:
    for name, value in params.items():
        steps = [step for item in value if (step := _step(item))] if isinstance(value, list) else []
        if steps:
            for key, content in steps:
                yield from _value(f"{prefix}{key}", content, depth)
        else:
            yield from _value(f"{prefix}{name}", value, depth)


def _value(name: str, value: JsonValue, depth: int) -> Iterator[tuple[str, Scalar]]:
    inner = _estimator(value)
    if inner and depth < _MAX_DEPTH:
        yield name, str(inner["type"]).rpartition(".")[2]
        yield from _of_model(inner["params"], f"{name}__", depth + 1)
    elif value is None or isinstance(value, (bool, int, str)):
        yield name, value
    elif isinstance(value, float):
        yield name, value if math.isfinite(value) else str(value)
    else:
        yield name, spec_text(value)


def _estimator(value: JsonValue) -> Mapping[str, Any] | None:
    """Return type and params of a value that is an estimator; None if it is none."""
    inner = value.get("$estimator") if isinstance(value, Mapping) else None
    is_one = isinstance(inner, Mapping) and "type" in inner and isinstance(inner.get("params"), Mapping)
    return inner if is_one else None


def _step(item: JsonValue) -> tuple[str, JsonValue] | None:
    """Return the name and the estimator of an item such as ``("scale", StandardScaler())``; None if it is none."""
    content = item.get("$tuple") if isinstance(item, Mapping) else None
    if isinstance(content, list) and len(content) > 1 and isinstance(content[0], str):
        return content[0], content[1]
    return None


def _of_script(arguments: Sequence[str]) -> Iterator[tuple[str, Scalar]]:
    option = ""
    for position, argument in enumerate(redacted_arguments(arguments), start=1):
        is_option = argument.startswith("-") and _number(argument) is None
        if option and is_option:
            yield option, True
        if is_option:
            option, equals, value = argument.lstrip("-").partition("=")
            if equals:
                yield option, _parsed(value)
                option = ""
        else:
            yield option or f"argument {position}", _parsed(argument)
            option = ""
    if option:
        yield option, True


def _parsed(text: str) -> Scalar:
    number = _number(text)
    return text if number is None else number


def _number(text: str) -> float | int | None:
    """Return the finite number that a text is, whole ones as int; None if it is none."""
    try:
        return int(text) if len(text) <= 18 and text.lstrip("+-").isdecimal() else _finite(float(text))  # noqa: PLR2004 - int64
    except ValueError:
        return None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
