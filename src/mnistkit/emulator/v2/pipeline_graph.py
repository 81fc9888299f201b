"""A pipeline job, read completely or refused: its steps, and what flows between them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from mnistkit.emulator.graph import check_order
from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import check_types
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.v2.resources import parts_of

__all__ = ["Pipeline", "Step"]

_WHOLE_PATTERN = re.compile(r"\$\{\{\s*parent\.(?:inputs\.(\w+)|jobs\.(\w+)\.outputs\.(\w+))\s*\}\}")
_OUTPUT_PATTERN = re.compile(r"\$\{\{\s*parent\.outputs\.(\w+)\s*\}\}")
_KINDS = ("command", "sweep", "pipeline")
_PLAIN_TYPES = frozenset({"string", "number", "integer", "boolean", "enum"})

Component = Callable[[str, str], Mapping[str, Any]]
"""Returns the specification of a component by its name and version."""


@frozen(kw_only=True)
class Step:
    """A step of a pipeline.

    Attributes:
        name: Its name.
        kind: ``command``, ``sweep`` or ``pipeline``.
        node: What the pipeline says of it.
        spec: The specification of its component.
    """

    name: str
    kind: str
    node: Mapping[str, Any]
    spec: Mapping[str, Any]

    @property
    def inputs(self) -> dict[str, Any]:
        """The values of its inputs, or objects that name data; those that aren't given are left out."""
        given = self.node.get("inputs") or {}
        found = {}
        for name, about in (self.spec.get("inputs") or {}).items():
            if given.get(name) is not None:
                found[name] = given[name]
            elif about.get("default") is not None:
                found[name] = about["default"]
        return found

    @property
    def before(self) -> set[str]:
        """The steps that have to be completed before it."""
        texts = [value_of(each) for each in self.inputs.values()]
        return {found[2] for text in texts for found in _WHOLE_PATTERN.finditer(text) if found[2]}

    def input_type(self, name: str) -> str:
        """Return the type of an input, as jobs have it: ``literal``, or that of its files."""
        kind = str(((self.spec.get("inputs") or {}).get(name) or {}).get("type") or "string").lower()
        return "literal" if kind in _PLAIN_TYPES else kind

    def is_plain_output(self, name: str) -> bool:
        """Return True if an output is a value, such as a text, and not files."""
        return str((self.spec.get("outputs") or {}).get(name, {}).get("type")).lower() in _PLAIN_TYPES

    def output_of_parent(self, name: str) -> str:
        """Return the output of the pipeline that an output of the step is; empty for none."""
        found = _OUTPUT_PATTERN.fullmatch(value_of((self.node.get("outputs") or {}).get(name)))
        return found[1] if found else ""


@frozen(kw_only=True)
class Pipeline:
    """A pipeline.

    Attributes:
        steps: By their names.
        inputs: Of the pipeline, as jobs have them.
        outputs: Of the pipeline, as jobs have them.
        compute: Where steps run that name nothing else; empty for no cluster.
        continues_on_failure: Whether steps run that don't depend on one that failed.
    """

    steps: Mapping[str, Step]
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    compute: str
    continues_on_failure: bool

    @classmethod
    def of(cls, sent: Mapping[str, Any], component: Component) -> Pipeline:
        """Read the properties of a pipeline job.

        Raises:
            Refusal: 400: it can't be run here; 404: it uses a component that isn't there.
        """
        check_types(sent, jobs=dict, inputs=dict, outputs=dict, settings=dict)
        if not sent.get("jobs"):
            raise Refusal(400, "The pipeline has no steps.")
        settings = sent.get("settings") or {}
        found = cls(
            steps={name: _step(name, node, component) for name, node in sent["jobs"].items()},
            inputs=sent.get("inputs") or {},
            outputs={name: about for name, about in (sent.get("outputs") or {}).items() if name != "default"},
            compute=str(sent.get("computeId") or settings.get("default_compute") or ""),
            continues_on_failure=str(settings.get("continue_on_step_failure")).lower() == "true",
        )
        check_order({name: step.before for name, step in found.steps.items()})
        for step in found.steps.values():
            found._check(step)
        return found

    def _check(self, step: Step) -> None:
        """Check that what a step refers to is there.

        Raises:
            Refusal: 400: it isn't.
        """
        given = {*step.inputs, *(step.node.get("search_space") or {})}
        known = (step.spec.get("inputs") or {}).items()
        missing = [name for name, about in known if name not in given and not about.get("optional")]
        if missing:
            raise Refusal(400, f"The step {step.name!r} lacks its inputs {missing}.")
        for text in map(value_of, step.inputs.values()):
            for found in _WHOLE_PATTERN.finditer(text):
                if found[1] and found[1] not in self.inputs:
                    raise Refusal(400, f"The pipeline has no input {found[1]!r}, which {step.name!r} refers to.")
                if found[2] and found[3] not in (self.steps[found[2]].spec.get("outputs") or {}):
                    raise Refusal(400, f"The step {found[2]!r} has no output {found[3]!r}.")

    def sweep_outputs(self, output: str) -> list[tuple[str, str]]:
        """Return the sweeps, by their steps' names, whose output is an output of the pipeline, and its name there."""
        return [
            (step.name, name)
            for step in self.steps.values()
            if step.kind == "sweep"
            for name in step.spec.get("outputs") or {}
            if step.output_of_parent(name) == output
        ]

    def resolve(self, step: Step, output_of: Callable[[str, str], str]) -> dict[str, Any]:
        """Return the inputs of a step, as jobs have them.

        Args:
            step: The step.
            output_of: Returns the URI, or the value, of an output of a step that is completed.
        """
        found: dict[str, Any] = {}
        for name, given in step.inputs.items():
            kind, text = step.input_type(name), value_of(given)
            whole = _WHOLE_PATTERN.fullmatch(text)
            if whole and whole[2]:
                key = "value" if kind == "literal" else "uri"
                found[name] = {"jobInputType": kind, key: output_of(whole[2], whole[3])}
            elif whole and self.inputs[whole[1]] is None:
                continue
            elif whole:
                found[name] = dict(self.inputs[whole[1]])
            elif kind == "literal":
                found[name] = {"jobInputType": kind, "value": _WHOLE_PATTERN.sub(self._text, text)}
            else:
                mode = given.get("mode") if isinstance(given, dict) else None
                found[name] = {"jobInputType": kind, "uri": text, "mode": mode}
        return found

    def _text(self, found: re.Match[str]) -> str:
        return value_of(self.inputs.get(found[1]))


def value_of(given: object) -> str:
    """Return the value, or the URI, of an input or output as a text."""
    if isinstance(given, dict):
        given = given.get("value", given.get("uri"))
    return "" if given is None else str(given)


def _step(name: str, node: object, component: Component) -> Step:
    if not isinstance(node, dict):
        raise Refusal(400, f"The step {name!r} can't be read.")
    kind = str(node.get("type") or "command").lower()
    if kind not in _KINDS:
        raise NotEmulated("jobs", f"Steps of the type {kind!r} aren't emulated ({name!r}), only {_KINDS}.")
    trial = node.get("trial")
    reference = (trial.get("componentId") if isinstance(trial, dict) else trial) or node.get("componentId")
    reference = reference or node.get("component")  # as the steps of a pipeline's component have it
    if str(reference).startswith("azureml://registries/"):
        raise NotEmulated("services", f"Registries aren't emulated: the component of {name!r} can't be had.")
    spec = component(*parts_of(reference, "components"))
    type_name = str(spec.get("type") or "command").lower()
    if type_name not in {"command", "pipeline"} or (type_name == "pipeline") is not (kind == "pipeline"):
        raise NotEmulated(
            "jobs", f"Components of the type {type_name!r} aren't emulated as steps of the type {kind!r}."
        )
    return Step(name=name, kind=kind, node=node, spec=spec)
