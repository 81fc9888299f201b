"""Command jobs, read completely or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from mnistkit.emulator.jobs.distribution import MAX_PROCESSES, Distribution
from mnistkit.emulator.jobs.job import SERVERLESS
from mnistkit.emulator.jobs.plan import Plan, conda_requirements
from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import check_texts, check_types
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.curated import is_curated
from mnistkit.emulator.v2.resources import name_in, seconds_of

__all__ = ["CommandJob", "Input", "Output", "expand", "expand_space"]

_NAME_PATTERN = re.compile(r"[A-Za-z_]\w*")
_EXPRESSION_PATTERN = re.compile(r"\$\{\{\s*([\w.]+)\s*\}\}")
_OPTIONAL_PATTERN = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
_VERSION_PATTERN = re.compile(r"/environments/([^/]+)/versions/([^/]+)$")
_LITERAL = "literal"
_MODEL_TYPES = ("custom_model", "mlflow_model", "triton_model")
_DATA_TYPES = ("uri_file", "uri_folder", "mltable")


@frozen(kw_only=True)
class Input:
    """An input of a job.

    Attributes:
        name: Its name.
        kind: ``literal``, or what its URI names: ``uri_folder`` and so on.
        value: The literal, or the URI.
        is_direct: Whether the job gets the URI itself.
    """

    name: str
    kind: str
    value: str
    is_direct: bool = False

    @property
    def is_literal(self) -> bool:
        """True if it is a value, and not files."""
        return self.kind == _LITERAL


@frozen(kw_only=True)
class Output:
    """An output of a job.

    Attributes:
        name: Its name.
        kind: ``uri_file``, ``uri_folder``, ``mltable`` or a type of models.
        uri: Where it goes to.
        asset: The name under which it is registered when the job is through; empty for none.
        version: The version that it gets; empty for the next.
        is_direct: Whether the job gets the URI itself.
    """

    name: str
    kind: str
    uri: str
    asset: str = ""
    version: str = ""
    is_direct: bool = False

    @property
    def is_model(self) -> bool:
        """True if it is a model."""
        return self.kind in _MODEL_TYPES

    @property
    def is_file(self) -> bool:
        """True if it is one file."""
        return self.kind == "uri_file"


@frozen(kw_only=True)
class CommandJob:
    """A command, the folder that it runs in, its inputs and its outputs.

    Attributes:
        plan: How it runs: target, processes, time limit, requirements.
        code: The id or URI of the folder; empty for none.
        command: The command line, with expressions.
        variables: Environment variables, with expressions.
        inputs: Its inputs.
        outputs: Its outputs.
    """

    plan: Plan
    code: str
    command: str
    variables: Mapping[str, str]
    inputs: Sequence[Input]
    outputs: Sequence[Output]

    @classmethod
    def of(cls, sent: Mapping[str, Any], *, outputs_uri: str, conda_file: Any) -> CommandJob:
        """Read the properties of a job.

        Args:
            sent: The properties, as Azure Resource Manager has them.
            outputs_uri: The folder for outputs that name none.
            conda_file: Returns the conda file of an environment by its name and version.

        Raises:
            Refusal: 400: it can't be run here.
        """
        check_types(sent, command=str, inputs=dict, outputs=dict, environmentVariables=dict, resources=dict)
        command = sent.get("command")
        if not command:
            raise Refusal(400, "The job has no command.")
        check_texts(sent, "tags", "properties")
        distribution = _distribution(sent)
        requirements, note = _requirements(str(sent.get("environmentId") or ""), conda_file)
        limits = sent.get("limits") or {}
        plan = Plan(
            target=name_in(sent.get("computeId"), "computes") or SERVERLESS,
            script="",
            arguments=(),
            command=command,
            variables={},
            inputs=(),
            outputs=(),
            distribution=distribution,
            requirements=requirements,
            interpreter="",
            seconds=seconds_of(limits.get("timeout")),
            note=note,
        )
        return cls(
            plan=plan,
            code=str(sent.get("codeId") or ""),
            command=command,
            variables={name: str(value) for name, value in (sent.get("environmentVariables") or {}).items()},
            inputs=[read for name, each in (sent.get("inputs") or {}).items() if (read := _input(name, each))],
            outputs=[
                _output(name, each, outputs_uri)
                for name, each in (sent.get("outputs") or {}).items()
                if name != "default"
            ],
        )


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its expressions such as ``${{inputs.lr}}`` replaced; a part in ``$[[...]]`` is optional.

    Raises:
        Refusal: 400: it refers to what the job doesn't have.
    """

    def optional(found: re.Match[str]) -> str:
        names = _EXPRESSION_PATTERN.findall(found[1])
        return found[1] if all(name in values for name in names) else ""

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise Refusal(400, f"The job has no {found[1]!r}; it has {', '.join(sorted(values)) or 'nothing'}.")
        return values[found[1]]

    return _EXPRESSION_PATTERN.sub(value, _OPTIONAL_PATTERN.sub(optional, text))


def expand_space(text: str, point: Mapping[str, Any]) -> str:
    """Return a trial's command with the values of a point in place of ``${{search_space.NAME}}``."""

    def value(found: re.Match[str]) -> str:
        kind, _, name = found[1].partition(".")
        return str(point[name]) if kind == "search_space" and name in point else found[0]

    return _EXPRESSION_PATTERN.sub(value, text)


def _input(name: str, about: object) -> Input | None:
    if about is None:
        return None  # an optional one that isn't given
    kind = str(about.get("jobInputType") or _LITERAL).lower() if isinstance(about, dict) else ""
    if not isinstance(about, dict) or not _NAME_PATTERN.fullmatch(name):
        raise Refusal(400, f"The input {name!r} can't be read.")
    if kind == _LITERAL:
        return None if about.get("value") is None else Input(name=name, kind=kind, value=str(about["value"]))
    if kind not in {*_DATA_TYPES, *_MODEL_TYPES}:
        raise NotEmulated("jobs", f"Inputs of the type {kind!r} aren't emulated.")
    uri = str(about.get("uri") or "")
    if not uri:
        return None
    return Input(name=name, kind=kind, value=uri, is_direct=str(about.get("mode")).lower() == "direct")


def _output(name: str, about: object, folder: str) -> Output:
    about = about if isinstance(about, dict) else {}
    kind = str(about.get("jobOutputType") or "uri_folder").lower()
    if kind not in {*_DATA_TYPES, *_MODEL_TYPES} or not _NAME_PATTERN.fullmatch(name):
        raise NotEmulated("jobs", f"The output {name!r} of the type {kind!r} isn't emulated.")
    return Output(
        name=name,
        kind=kind,
        uri=str(about.get("uri") or f"{folder}/{name}" + ("" if kind == "uri_file" else "/")),
        asset=str(about.get("assetName") or ""),
        version=str(about.get("assetVersion") or ""),
        is_direct=str(about.get("mode")).lower() == "direct",
    )


def _distribution(sent: Mapping[str, Any]) -> Distribution:
    """Return a job's processes, by its distribution and its number of instances."""
    about = sent.get("distribution") or {}
    nodes = int((sent.get("resources") or {}).get("instanceCount") or 1)
    kind = str(about.get("distributionType") or "").lower()
    per_node = int(about.get("processCountPerInstance") or 1)
    if not kind:
        found = Distribution(kind="nodes" if nodes > 1 else "", nodes=nodes)
    elif kind in {"pytorch", "mpi"}:
        found = Distribution(kind=kind, nodes=nodes, per_node=per_node)
    elif kind == "tensorflow":
        workers, servers = int(about.get("workerCount") or nodes), int(about.get("parameterServerCount") or 0)
        found = Distribution(kind=kind, nodes=workers, servers=servers)
    else:
        raise NotEmulated("jobs", f"Jobs with the distribution {kind!r} aren't emulated.")
    if found.processes > MAX_PROCESSES:
        text = f"The job has {found.processes} processes; a job has {MAX_PROCESSES} at most here."
        raise NotEmulated("jobs", text)
    return found


def _requirements(environment: str, conda_file: Any) -> tuple[Sequence[str], str]:
    """Return the packages of a job's environment, and a note on what can't be known of them."""
    found = _VERSION_PATTERN.search(environment)
    name = found[1] if found else environment.rpartition("/")[2]
    unknown = f"What the environment {name!r} holds isn't known here and wasn't compared."
    if not found or is_curated(name) or environment.startswith("azureml://registries/"):
        return (), unknown
    text = conda_file(found[1], found[2])
    if not text:
        return (), unknown
    try:
        import yaml
    except ImportError:
        return (), f"The conda file of {name!r} can't be read without the package pyyaml; it wasn't compared."
    try:
        conda = yaml.safe_load(text)
        return conda_requirements(conda.get("dependencies") or []), ""
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise Refusal(400, f"The conda file of the environment {name!r} can't be read: {error}.") from None
