"""A run configuration, read completely or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from mnistkit.emulator.jobs.distribution import Distribution
from mnistkit.emulator.jobs.references import VARIABLE_PREFIX, Reference, references_of
from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.curated import is_curated
from mnistkit.emulator.services.datasets import Datasets, file_of

__all__ = ["Input", "Plan", "conda_requirements"]

_VARIABLE_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE_PATTERN = re.compile(rf"Dataset(?:Consumption|Output)Config:(\w+)|\${VARIABLE_PREFIX}\w+")
_INPUT_MODES = ("mount", "download", "direct")
_OUTPUT_MODES = ("mount", "upload")
_DEFAULT_DATASTORE = "workspaceblobstore"


@frozen(kw_only=True)
class Input:
    """A dataset that a job works on.

    Attributes:
        name: What the job calls it.
        variable: The environment variable with its path, or its id if it is direct.
        saved_id: The id of its definition.
        mode: ``mount``, ``download`` or ``direct``. What is to be mounted is downloaded.
        path: Where the job wants it; empty for anywhere.
        file: The name of the one file that a mount of it may be; empty if it can't be one.
    """

    name: str
    variable: str
    saved_id: str
    mode: str
    path: str
    file: str = ""


@frozen(kw_only=True)
class Output:
    """A folder of a job that becomes a dataset.

    Attributes:
        name: What the job calls it.
        mode: ``mount`` or ``upload``.
        path: Where the job has it; empty for a folder of the emulator's.
        datastore: The datastore that it goes to.
        destination: The path there; may hold ``{run-id}`` and ``{output-name}``.
        options: Its ``additionalOptions``, as they were submitted.
    """

    name: str
    mode: str
    path: str
    datastore: str
    destination: str
    options: Mapping[str, Any]


@frozen(kw_only=True)
class Plan:
    """A job, as its configuration describes it.

    Attributes:
        target: The name of its compute target.
        script: The script in its snapshot.
        arguments: The script's, with references to inputs.
        command: A shell's command, in place of a script.
        variables: Environment variables.
        inputs: Its datasets.
        outputs: The folders that become datasets.
        references: Paths of datastores that it reads or writes.
        distribution: Its processes.
        requirements: What pip would have to install, and the version of python.
        interpreter: The interpreter that a local job asks for; empty for the emulator's own.
        seconds: How long it may run; None if it doesn't say.
        note: What can't be known of its requirements; empty if all is.
    """

    target: str
    script: str
    arguments: Sequence[str]
    command: str
    variables: Mapping[str, str]
    inputs: Sequence[Input]
    outputs: Sequence[Output]
    distribution: Distribution
    requirements: Sequence[str]
    interpreter: str
    seconds: float | None = field(default=None)
    note: str = ""
    references: Sequence[Reference] = ()

    @classmethod
    def of(cls, configuration: Mapping[str, Any], datasets: Datasets) -> Plan:
        """Read a run configuration.

        Raises:
            Refusal: 400: it asks for what isn't emulated, or for nothing; 404: it names no dataset that is there.
        """
        if not isinstance(configuration, dict):
            raise Refusal(400, "There is no run configuration.")
        try:
            return cls._read(configuration, datasets)
        except (AttributeError, TypeError, ValueError) as error:
            raise Refusal(400, f"The run configuration can't be read: {error}.") from None

    @classmethod
    def _read(cls, configuration: Mapping[str, Any], datasets: Datasets) -> Plan:
        _refuse_more(configuration)
        command = configuration.get("command") or ""
        plan = cls(
            target=str(configuration.get("target") or "local"),
            script=_script(configuration.get("script")),
            arguments=[str(each) for each in configuration.get("arguments") or []],
            command=command if isinstance(command, str) else " ".join(map(str, command)),
            variables=_variables(configuration),
            inputs=[_input(name, about, datasets) for name, about in (configuration.get("data") or {}).items()],
            outputs=[_output(name, about) for name, about in (configuration.get("outputData") or {}).items()],
            distribution=Distribution.of(configuration),
            requirements=_requirements(configuration),
            interpreter=_interpreter(configuration),
            seconds=_seconds(configuration.get("maxRunDurationSeconds")),
            note=_note(configuration),
            references=references_of(configuration),
        )
        if plan.distribution.nodes > 1 and plan.target == "local":
            raise Refusal(400, "A local job has one node: submit it to a cluster.")
        if not plan.script and not plan.command:
            raise Refusal(400, "The run configuration has neither a script nor a command.")
        return plan

    def with_inputs(self, text: str, values: Mapping[str, str]) -> str:
        """Return the text with its references to inputs and outputs replaced by their values.

        Args:
            text: An argument, or a command.
            values: Those of datasets by their names, those of data references by ``$`` and their variables.
        """
        return _REFERENCE_PATTERN.sub(lambda found: values.get(found[1] or found[0], found[0]), text)


def _refuse_more(configuration: Mapping[str, Any]) -> None:
    asked = [name for name in ("datacaches", "applicationEndpoints") if configuration.get(name)]
    if asked:
        raise NotEmulated("jobs", f"This emulator's jobs don't have {' and '.join(asked)}.")


def _script(script: object) -> str:
    if not script:
        return ""
    parts = str(script).replace("\\", "/").split("/")
    if not isinstance(script, str) or script.startswith("/") or ".." in parts or "\0" in script:
        raise Refusal(400, f"{script!r} isn't a script in the snapshot.")
    return "/".join(part for part in parts if part not in {"", "."})


def _variables(configuration: Mapping[str, Any]) -> dict[str, str]:
    environment = configuration.get("environment") or {}
    found = (environment.get("environmentVariables") or {}) | (configuration.get("environmentVariables") or {})
    bad = sorted(name for name, value in found.items() if not _VARIABLE_PATTERN.fullmatch(name) or "\0" in str(value))
    if bad:
        raise Refusal(400, f"{bad} can't be environment variables.")
    return {name: str(value) for name, value in found.items()}


def _input(name: str, about: Mapping[str, Any], datasets: Datasets) -> Input:
    mode = str(about.get("mechanism") or "").lower()
    variable = about.get("environmentVariableName") or name
    if mode not in _INPUT_MODES or not _VARIABLE_PATTERN.fullmatch(variable) or not re.fullmatch(r"\w+", name):
        raise Refusal(400, f"The input {name!r} can't be had as {mode!r} in ${variable}: the modes are {_INPUT_MODES}.")
    asked = (about.get("dataLocation") or {}).get("dataset") or {}
    if asked.get("id"):
        saved = datasets.get(asked["id"])
    elif asked.get("name"):
        saved = datasets.find(asked["name"], asked.get("version"))
    else:
        raise Refusal(400, f"The input {name!r} is no dataset.")
    return Input(
        name=name,
        variable=variable,
        saved_id=saved["id"],
        mode=mode,
        path=about.get("pathOnCompute") or "",
        file=file_of(saved) if mode == "mount" else "",
    )


def _output(name: str, about: Mapping[str, Any]) -> Output:
    mode = str(about.get("mechanism") or "").lower()
    if mode not in _OUTPUT_MODES or not re.fullmatch(r"\w+", name):
        raise NotEmulated("jobs", f"The output {name!r} can't be had as {mode!r}: the modes are {_OUTPUT_MODES}.")
    where = (about.get("outputLocation") or {}).get("dataPath") or {}
    options = about.get("additionalOptions") or {}
    return Output(
        name=name,
        mode=mode,
        path=str(options.get("pathOnCompute") or ""),
        datastore=str(where.get("datastoreName") or _DEFAULT_DATASTORE),
        destination=str(where.get("relativePath") or "dataset/{run-id}/{output-name}"),
        options=options,
    )


def _requirements(configuration: Mapping[str, Any]) -> list[str]:
    python = (configuration.get("environment") or {}).get("python") or {}
    found = conda_requirements((python.get("condaDependencies") or {}).get("dependencies") or [])
    return [] if python.get("userManagedDependencies") else found


def conda_requirements(dependencies: Sequence[Any]) -> list[str]:
    """Return what pip would have to install, and the version of python, of the dependencies of a conda file."""
    found: list[str] = []
    for each in dependencies:
        if isinstance(each, dict):
            found += [text for text in each.get("pip") or [] if not text.startswith("-")]
        elif re.match(r"python\s*=", each):
            version = re.sub(r"^python\s*=+\s*", "", each)
            found.append(f"python=={version}" if version.count(".") > 1 else f"python=={version}.*")
    return found


def _note(configuration: Mapping[str, Any]) -> str:
    """Return what can't be known of an environment's packages."""
    environment = configuration.get("environment") or {}
    name = environment.get("name")
    if is_curated(name):
        return f"The environment {name!r} is Azure's own: what it holds isn't known here and wasn't compared."
    docker = environment.get("docker") or {}
    if (environment.get("python") or {}).get("userManagedDependencies") and docker.get("baseDockerfile"):
        return f"The environment {name!r} is made by a Dockerfile: what it holds isn't known here and wasn't compared."
    return ""


def _interpreter(configuration: Mapping[str, Any]) -> str:
    python = (configuration.get("environment") or {}).get("python") or {}
    return str(python.get("interpreterPath") or "") if python.get("userManagedDependencies") else ""


def _seconds(value: object) -> float | None:
    if not value:
        return None
    if not isinstance(value, (int, float)) or value < 0:
        raise Refusal(400, f"'maxRunDurationSeconds' is {value!r}: expected a positive number.")
    return float(value)
