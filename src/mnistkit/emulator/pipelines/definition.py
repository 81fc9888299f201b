"""The definition of a pipeline: its steps and what flows between them, read completely or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from mnistkit.emulator.graph import check_order
from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import check_types, list_of
from mnistkit.emulator.pipelines.assignments import Assignments, saved_id
from mnistkit.emulator.pipelines.modules import HYPERDRIVE_STEP, Modules
from mnistkit.emulator.routing import Refusal, parse_json
from mnistkit.emulator.services.datasets import Datasets

__all__ = ["Data", "Definition", "Source", "StepNode"]


@frozen(kw_only=True)
class Data:
    """Data that a step works on or makes.

    Attributes:
        datastore: Where it is; empty for a dataset whose place doesn't matter.
        path: Its path there.
        saved: The id of the dataset that it is; empty for plain files.
    """

    datastore: str = ""
    path: str = ""
    saved: str = ""


@frozen
class Source:
    """An output of another step.

    Attributes:
        node: The step's id.
        port: The output's name.
    """

    node: str
    port: str


@frozen(kw_only=True)
class StepNode:
    """A step of a pipeline.

    Attributes:
        id: Of its node.
        module: Its code and interface.
        parameters: Of its module, with the values of the pipeline's parameters.
        inputs: By the names of its ports.
        waits_for: The steps that run before it without giving it data.
        outputs: The settings of its outputs by their names, of which it may have none.
        configuration: Its run configuration.
        parsed: The inputs that are tables once they are parsed.
        regenerates: Whether it is to run again, although it could be reused.
    """

    id: str
    module: Mapping[str, Any]
    parameters: Mapping[str, str]
    inputs: Mapping[str, Data | Source]
    waits_for: frozenset[str]
    outputs: Mapping[str, Mapping[str, Any]]
    configuration: Mapping[str, Any]
    parsed: frozenset[str]
    regenerates: bool

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.module["Name"])

    @property
    def is_sweep(self) -> bool:
        """True for HyperDrive."""
        return bool(self.module["StepType"] == HYPERDRIVE_STEP)

    @property
    def before(self) -> frozenset[str]:
        """The steps that have to be completed before it."""
        return self.waits_for | {each.node for each in self.inputs.values() if isinstance(each, Source)}


@frozen(kw_only=True)
class Definition:
    """A pipeline.

    Attributes:
        steps: By the ids of their nodes.
        outputs: Outputs of steps that are outputs of the pipeline, by their names there.
    """

    steps: Mapping[str, StepNode]
    outputs: Mapping[str, Source]

    @property
    def names(self) -> dict[str, str]:
        """The names of steps by their nodes; of several with one name, each with its node."""
        known = [step.name for step in self.steps.values()]
        return {
            node: step.name if known.count(step.name) == 1 else f"{step.name} ({node})"
            for node, step in self.steps.items()
        }

    @classmethod
    def of(cls, graph: Mapping[str, Any], assignments: Assignments, modules: Modules, datasets: Datasets) -> Definition:
        """Read a graph.

        Raises:
            Refusal: 400: it can't be run here; 404: it refers to what isn't there.
        """
        nodes = list_of(graph, "ModuleNodes", dict)
        data = {
            str(node.get("Id")): _data(node, assignments, modules, datasets)
            for node in list_of(graph, "DatasetNodes", dict)
        }
        edges = [_edge(each) for each in list_of(graph, "Edges", dict)]
        steps = {str(node.get("Id")): _step(node, edges, data, assignments, modules) for node in nodes}
        if not steps:
            raise Refusal(400, "The pipeline has no steps.")
        outputs = {name: source for source, target, name in edges if not target}
        check_order({step.id: step.before for step in steps.values()})
        for source in (*outputs.values(), *(each for step in steps.values() for each in step.inputs.values())):
            if isinstance(source, Source) and (
                source.node not in steps or source.port not in steps[source.node].outputs
            ):
                raise Refusal(400, f"The step {source.node!r} has no output {source.port!r}.")
        for step in steps.values():
            _check_parsed(step, steps)
        return cls(steps=steps, outputs=outputs)


def _check_parsed(step: StepNode, steps: Mapping[str, StepNode]) -> None:
    """Check that the inputs of a step that are tables are so already where they are made."""
    for name in step.parsed:
        source = step.inputs.get(name)
        made = steps[source.node].outputs[source.port] if isinstance(source, Source) else {}
        if not (made.get("DatasetRegistration") or {}).get("AdditionalTransformations"):
            text = (
                "isn't emulated for files that a step has made: use read_delimited_files() of its output, or the script"
            )
            raise NotEmulated("pipelines", f"Parsing the input {name!r} of {step.name!r} {text}.")


_Edge = tuple[Source, str, str]
"""An output, the step that gets it, and the name of the input there; without a step, that of the pipeline's output."""


def _edge(sent: Mapping[str, Any]) -> _Edge:
    check_types(sent, SourceOutputPort=dict, DestinationInputPort=dict)
    source, target = sent.get("SourceOutputPort") or {}, sent.get("DestinationInputPort") or {}
    found = Source(str(source.get("NodeId")), str(source.get("PortName")))
    if target.get("GraphPortName"):
        return found, "", str(target["GraphPortName"])
    return found, str(target.get("NodeId")), str(target.get("PortName"))


def _step(
    node: Mapping[str, Any],
    edges: Sequence[_Edge],
    data: Mapping[str, Data],
    assignments: Assignments,
    modules: Modules,
) -> StepNode:
    module = modules.module(str(node.get("ModuleId")))
    described = module["StructuredInterface"]
    skipped = {each["Name"] for key in ("Inputs", "Outputs") for each in described[key] if each.get("SkipProcessing")}
    inputs: dict[str, Data | Source] = {}
    waits_for = set()
    for source, target, port in edges:
        if target == node["Id"] and port in skipped:
            waits_for.add(source.node)
        elif target == node["Id"]:
            inputs[port] = data.get(source.node, source)
    settings = {str(each.get("Name")): each for each in list_of(node, "ModuleOutputSettings", dict)}
    runconfig = node.get("Runconfig") or module.get("Runconfig")
    return StepNode(
        id=str(node["Id"]),
        module=module,
        parameters=_parameters(node, module, assignments),
        inputs=inputs,
        waits_for=frozenset(waits_for),
        outputs={
            each["Name"]: {**each, **_given(settings.get(each["Name"]))}
            for each in described["Outputs"]
            if each["Name"] not in skipped
        },
        configuration=parse_json(runconfig, "The run configuration") if runconfig else {},
        parsed=frozenset(
            str(each.get("Name"))
            for each in list_of(node, "ModuleInputSettings", dict)
            if each.get("AdditionalTransformations")
        ),
        regenerates=bool(node.get("RegenerateOutput")),
    )


def _given(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (settings or {}).items() if value is not None}


def _parameters(node: Mapping[str, Any], module: Mapping[str, Any], assignments: Assignments) -> dict[str, str]:
    described = module["StructuredInterface"]
    found: dict[str, Any] = {}
    for key in ("Parameters", "MetadataParameters"):
        found |= {each["Name"]: each.get("DefaultValue") for each in described.get(key) or ()}
        found |= {str(each.get("Name")): _assigned(each, assignments) for each in list_of(node, f"Module{key}", dict)}
    return {name: str(value) for name, value in found.items() if value is not None}


def _assigned(sent: Mapping[str, Any], assignments: Assignments) -> Any:
    kind, value = str(sent.get("ValueType")), str(sent.get("Value"))
    if kind in {"0", "Literal"}:
        return sent.get("Value")
    if kind not in {"1", "GraphParameterName"}:
        raise NotEmulated(
            "pipelines", f"The parameter {sent.get('Name')!r} is given as {kind!r}, which isn't emulated."
        )
    if value in assignments.texts:
        return assignments.texts[value]
    if value in assignments.shown or value in assignments.datasets:
        return None  # it is an input
    raise Refusal(400, f"The pipeline has no parameter {value!r}, which {sent.get('Name')!r} refers to.")


def _data(node: Mapping[str, Any], assignments: Assignments, modules: Modules, datasets: Datasets) -> Data:
    parameter, definition = node.get("DataPathParameterName"), node.get("DataSetDefinition") or {}
    if node.get("DatasetId"):
        datastore, path = modules.source(str(node["DatasetId"]))
        return Data(datastore=datastore, path=path)
    if parameter:
        if parameter not in assignments.paths:
            raise Refusal(400, f"The pipeline has no parameter {parameter!r} that is a path.")
        datastore, path = assignments.paths[parameter]
        return Data(datastore=datastore, path=path)
    if definition.get("ParameterName"):
        if definition["ParameterName"] not in assignments.datasets:
            raise Refusal(400, f"The pipeline has no parameter {definition['ParameterName']!r} that is a dataset.")
        return Data(saved=assignments.datasets[definition["ParameterName"]])
    return Data(saved=saved_id(definition.get("Value"), datasets))
