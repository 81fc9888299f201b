"""The run configuration of a step: its own, with the values of its parameters and the places of its data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from mnistkit.emulator.jobs.references import VARIABLE_PREFIX
from mnistkit.emulator.pipelines.definition import Data, StepNode
from mnistkit.emulator.routing import Refusal

__all__ = ["destination_of", "is_dataset", "run_configuration"]

_DEFAULT_DATASTORE = "workspaceblobstore"
_STRUCTURED = "USE_STRUCTURED_ARGUMENTS"
_COUNTS: Mapping[str, tuple[str, ...]] = {
    "NodeCount": ("nodeCount",),
    "MpiProcessCountPerNode": ("mpi", "processCountPerNode"),
    "TensorflowWorkerCount": ("tensorflow", "workerCount"),
    "TensorflowParameterServerCount": ("tensorflow", "parameterServerCount"),
}


def is_dataset(output: Mapping[str, Any]) -> bool:
    """Return True if an output's settings make it a dataset, not plain files."""
    return output.get("DatasetRegistration") is not None


def destination_of(name: str, output: Mapping[str, Any], run_id: str) -> tuple[str, str]:
    """Return the datastore of an output, and its path there.

    Args:
        name: The output's name.
        output: Its settings.
        run_id: Of the step that makes it.
    """
    options = output.get("DatasetOutputOptions") or {}
    path = str(options.get("PathOnDatastore") or "azureml/{run-id}/{output-name}")
    path = path.replace("{run-id}", run_id).replace("{output-name}", name)
    return str(output.get("DataStoreName") or _DEFAULT_DATASTORE), path.strip("/")


def run_configuration(
    step: StepNode, base: Mapping[str, Any], inputs: Mapping[str, Data], run_id: str
) -> dict[str, Any]:
    """Return the run configuration that a step's job is submitted with.

    Args:
        step: The step.
        base: The configuration as the client gave it.
        inputs: Its inputs, which are there now.
        run_id: Of the step.

    Raises:
        Refusal: 400: a parameter isn't a number, or an input can't be had.
    """
    found: dict[str, Any] = json.loads(json.dumps(base))
    parameters = step.parameters
    found["target"] = parameters.get("Target") or found.get("target") or "local"
    if parameters.get("Script"):
        found["script"] = parameters["Script"]
    for name, keys in _COUNTS.items():
        if parameters.get(name):
            _set(found, keys, _count(name, parameters[name]))
    found["environmentVariables"] = {**(found.get("environmentVariables") or {}), **_variables(step)}
    described = {each["Name"]: each for each in step.module["StructuredInterface"]["Inputs"]}
    for name, data in inputs.items():
        section, entry = _input(name, data, described.get(name) or {})
        found[section] = {**(found.get(section) or {}), name: entry}
    for name, output in step.outputs.items():
        if not output.get("TrainingOutput"):
            section, entry = _output(name, output, run_id)
            found[section] = {**(found.get(section) or {}), name: entry}
    arguments = _arguments(step, found)
    if parameters.get("Command"):
        found["command"], found["arguments"] = " ".join([parameters["Command"], *arguments]), []
    else:
        found["arguments"] = arguments
    return found


def _set(configuration: dict[str, Any], keys: tuple[str, ...], value: int) -> None:
    for key in keys[:-1]:
        configuration = configuration.setdefault(key, {})
    configuration[keys[-1]] = value


def _count(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise Refusal(400, f"{name} is {text!r}: expected a whole number above 0.")
    return int(text)


def _variables(step: StepNode) -> dict[str, str]:
    described = step.module["StructuredInterface"].get("Parameters") or ()
    chosen = [each for each in described if each.get("SetEnvironmentVariable") and each["Name"] in step.parameters]
    return {
        str(each.get("EnvironmentVariableOverride") or each["Name"]): step.parameters[each["Name"]] for each in chosen
    }


def _input(name: str, data: Data, described: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    mode, path = str(described.get("DataStoreMode") or "mount").lower(), described.get("PathOnCompute")
    if data.saved:
        return "data", {
            "dataLocation": {"dataset": {"id": data.saved}},
            "mechanism": mode,
            "environmentVariableName": name,
            "pathOnCompute": path,
            "overwrite": bool(described.get("Overwrite")),
        }
    if mode not in {"mount", "download"}:
        raise Refusal(400, f"The input {name!r} can't be had as {mode!r}: the modes are mount and download.")
    about = {"dataStoreName": data.datastore, "pathOnDataStore": data.path, "pathOnCompute": path}
    return "dataReferences", {**about, "mode": "download"}  # what a step has for reading


def _output(name: str, output: Mapping[str, Any], run_id: str) -> tuple[str, dict[str, Any]]:
    datastore, path = destination_of(name, output, run_id)
    mode, place = str(output.get("DataStoreMode") or "mount").lower(), output.get("PathOnCompute")
    if not is_dataset(output):
        about = {"dataStoreName": datastore, "pathOnDataStore": path, "pathOnCompute": place}
        return "dataReferences", {**about, "mode": "upload"}
    registration = output["DatasetRegistration"]
    globs = ((output.get("DatasetOutputOptions") or {}).get("SourceGlobs") or {}).get("GlobPatterns")
    options = {
        "pathOnCompute": place,
        "registrationOptions": {
            "name": registration.get("Name"),
            "description": registration.get("Description"),
            "tags": registration.get("Tags") or registration.get("tags"),
            "datasetRegistrationOptions": {"additionalTransformation": registration.get("AdditionalTransformations")},
        },
        "uploadOptions": {"overwrite": bool(output.get("Overwrite")), "sourceGlobs": {"patterns": globs}},
    }
    where = {"dataPath": {"datastoreName": datastore, "relativePath": path}}
    return "outputData", {"outputLocation": where, "mechanism": mode, "additionalOptions": options}


def _arguments(step: StepNode, configuration: Mapping[str, Any]) -> list[str]:
    sent = step.parameters.get("Arguments")
    if sent != _STRUCTURED:
        return sent.split(",") if sent else []
    datasets = {*(configuration.get("data") or {}), *(configuration.get("outputData") or {})}

    def place(name: str) -> str:
        return f"DatasetConsumptionConfig:{name}" if name in datasets else f"${VARIABLE_PREFIX}{name}"

    readers: Mapping[str, Callable[[str], str]] = {
        "Literal": str,
        "Input": place,
        "Output": place,
        "Parameter": lambda name: step.parameters.get(name, ""),
    }
    found = []
    for each in step.module["StructuredInterface"].get("Arguments") or ():
        kind, value = str(each.get("ValueType")), str(each.get("Value") or "")
        if kind not in readers:
            raise Refusal(400, f"The step {step.name!r} has an argument of the kind {kind!r}: {value!r}.")
        found.append(readers[kind](value))
    return found
