"""Deployments of batch endpoints, read completely or refused, and the pipeline jobs that they are invoked as."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnistkit.emulator.jobs.distribution import MAX_PROCESSES
from mnistkit.emulator.jobs.job import SERVERLESS
from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import check_texts, check_types
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.compute import Clusters
from mnistkit.emulator.v2.assets import Assets
from mnistkit.emulator.v2.models import ModelAssets
from mnistkit.emulator.v2.places import Places
from mnistkit.emulator.v2.resources import name_in, parts_of, seconds_of
from mnistkit.emulator.workspace import Workspace

__all__ = ["BatchDeployments"]

_DRIVER_FILE = Path(__file__).with_name("batch_driver.py")
_STEP, _DATA, _MODEL, _SCORE = "batchscoring", "job_data_path", "score_model", "score"
_ANONYMOUS = "azureml_anonymous"
_DEFAULTS: Mapping[str, Any] = {
    "miniBatchSize": 10,
    "maxConcurrencyPerInstance": 1,
    "errorThreshold": -1,
    "outputAction": "AppendRow",
    "outputFileName": "predictions.csv",
    "loggingLevel": "Info",
    "retrySettings": {"maxRetries": 3, "timeout": "PT30S"},
    "resources": {"instanceCount": 1},
    "environmentVariables": {},
    "properties": {},
}
_TYPES = {
    "urifile": "uri_file",
    "urifolder": "uri_folder",
    "mltable": "mltable",
    "literal": "literal",
    "custommodel": "custom_model",
    "mlflowmodel": "mlflow_model",
}
_FILE_NAME_PATTERN = re.compile(r"[\w][\w. -]*")
_OLD_OUTPUT_PATTERN = re.compile(r"azureml://.*datastores/([^/]+)/paths/+(.+)")
_PIPELINE_KIND = "PipelineComponent"


class BatchDeployments:
    """Makes pipeline jobs of deployments and of what they are invoked with.

    A deployment of a model is one step, a command that runs the emulator's own driver around the scoring script.
    """

    def __init__(
        self, workspace: Workspace, assets: Assets, models: ModelAssets, places: Places, clusters: Clusters
    ) -> None:
        self._workspace, self._assets, self._models, self._places = workspace, assets, models, places
        self._clusters = clusters

    def read(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Return the properties of a deployment, with Azure's defaults, after a check.

        Raises:
            Refusal: 400: it can't be run here; 404: its compute, model, code or component isn't there.
        """
        dicts = ("model", "codeConfiguration", "retrySettings", "resources", "deploymentConfiguration")
        check_types(sent, compute=str, environmentId=str, description=str, **dict.fromkeys(dicts, dict))
        check_texts(sent, "environmentVariables", "properties")
        found = {**_DEFAULTS, **{key: value for key, value in sent.items() if value is not None}}
        if found.get("deploymentConfiguration"):
            self._component_spec(found["deploymentConfiguration"])
            found["deploymentConfiguration"] = {"settings": {}, **found["deploymentConfiguration"]}
            compute = found["deploymentConfiguration"]["settings"].get("default_compute")
        else:
            self._scoring_spec(found, found["outputFileName"])
            compute = found.get("compute")
        self._clusters.max_nodes(name_in(compute, "computes") or SERVERLESS)
        return found

    def job(self, deployment: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
        """Return the properties of the pipeline job of an invocation.

        Args:
            deployment: The properties of the deployment, as `read` returns them.
            sent: What it is invoked with.

        Raises:
            Refusal: 400: it doesn't fit the deployment.
        """
        check_types(sent, inputData=dict, outputData=dict, outputDataset=dict, properties=dict, compute=dict)
        inputs = {name: _input(name, each) for name, each in (sent.get("inputData") or {}).items()}
        outputs = {name: _output(each) for name, each in (sent.get("outputData") or {}).items()}
        if sent.get("outputDataset"):
            outputs[_SCORE] = _folder(sent["outputDataset"])
        if deployment.get("deploymentConfiguration"):
            return self._component_job(deployment["deploymentConfiguration"], inputs, outputs)
        return self._scoring_job({**deployment, **_overrides(sent)}, inputs, outputs)

    # Models

    def _scoring_job(
        self, deployment: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        if len(inputs) != 1 or len(outputs) > 1:
            raise Refusal(400, f"A model is invoked with one input and at most one output, not {[*inputs, *outputs]}.")
        name, about = next(iter(inputs.items()))
        if about["jobInputType"] not in {"uri_file", "uri_folder"}:
            raise NotEmulated("jobs", f"Batch deployments of models read files and folders, not {about}.")
        file_name = str(deployment["outputFileName"])
        score: dict[str, Any] = {"jobOutputType": "uri_folder"}
        for given in outputs.values():
            uri = str(given["uri"] or "")
            if uri and given["jobOutputType"] == "uri_file":
                uri, _, file_name = uri.rpartition("/")
            score["uri"] = f"{uri.rstrip('/')}/" if uri else None
        spec = self._scoring_spec(deployment, file_name)
        spec["inputs"][_DATA]["type"] = about["jobInputType"]
        literals = {_DATA: f"${{{{parent.inputs.{name}}}}}"}
        if _MODEL in spec["inputs"]:
            literals[_MODEL] = deployment["model"]["assetId"]
        step = {
            "name": _STEP,
            "type": "command",
            "componentId": self._registered(spec),
            "inputs": {key: {"job_input_type": "literal", "value": value} for key, value in literals.items()},
            "outputs": {_SCORE: {"type": "literal", "value": f"${{{{parent.outputs.{_SCORE}}}}}"}},
        }
        return _pipeline(deployment.get("compute"), inputs, {_SCORE: score}, {_STEP: step})

    def _scoring_spec(self, deployment: Mapping[str, Any], file_name: str) -> dict[str, Any]:
        """Return the specification of the component that scores.

        Raises:
            Refusal: 400: it can't be run here; 404: its model or code isn't there.
        """
        code, model = deployment.get("codeConfiguration") or {}, (deployment.get("model") or {}).get("assetId")
        options = _options(deployment, file_name)
        inputs: dict[str, Any] = {_DATA: {"type": "uri_folder"}}
        script, kind = str(code.get("scoringScript") or "").removeprefix("./"), ""
        if model:
            name, version = parts_of(model, "models")
            kind, uri = self._models.kind(name, version), f"azureml:/models/{name}/versions/{version}"
            inputs[_MODEL] = {"type": kind}
            options["--model-name"] = self._places.datastore_uri(uri).rstrip("/").rpartition("/")[2]
        if script:
            options["--script"] = script
            files = self._places.files(str(code["codeId"])) if code.get("codeId") else {}
            if script not in files:
                raise Refusal(400, f"The scoring script {script!r} isn't in the code; it has {sorted(files)}.")
        elif kind != "mlflow_model":
            raise Refusal(400, "The deployment needs a scoring script: only MLflow models are scored without one.")
        places = {"--input": f'"${{{{inputs.{_DATA}}}}}"', "--output": f'"${{{{outputs.{_SCORE}}}}}"'}
        places |= {"--model": f'"${{{{inputs.{_MODEL}}}}}"'} if model else {}
        words = [f"{name} {shlex.quote(str(value))}" for name, value in options.items()]
        words += [f"{name} {value}" for name, value in places.items()]
        return {
            "type": "command",
            "name": _STEP,
            "command": f"{shlex.join([sys.executable, str(_DRIVER_FILE)])} {' '.join(words)}",
            "code": code.get("codeId"),
            "environment": deployment.get("environmentId"),
            "environment_variables": deployment["environmentVariables"],
            "inputs": inputs,
            "outputs": {_SCORE: {"type": "uri_folder"}},
        }

    def _registered(self, spec: Mapping[str, Any]) -> str:
        """Return the id of the component with a specification."""
        version = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:32]
        self._assets.add("components", _ANONYMOUS, version, {"componentSpec": dict(spec), "isAnonymous": True})
        return f"{self._workspace.scope}/components/{_ANONYMOUS}/versions/{version}"

    # Pipeline components

    def _component_job(
        self, configuration: Mapping[str, Any], given: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        spec = self._component_spec(configuration)
        known, made = spec.get("inputs") or {}, spec.get("outputs") or {}
        unknown = [*(set(given) - set(known)), *(set(outputs) - set(made))]
        if unknown:
            raise Refusal(400, f"The component has no {sorted(unknown)}; it has {[*known, *made]}.")
        inputs: dict[str, Any] = {}
        for name, about in known.items():
            if name in given:
                inputs[name] = given[name]
            elif about.get("default") is not None:
                inputs[name] = {"jobInputType": "literal", "value": str(about["default"])}
            elif about.get("optional"):
                inputs[name] = None
            else:
                raise Refusal(400, f"The deployment has to be invoked with its input {name!r}.")
        settings = configuration.get("settings") or {}
        sent = {name: outputs.get(name) or {"jobOutputType": about.get("type")} for name, about in made.items()}
        continues = settings.get("continue_on_step_failure")
        return _pipeline(settings.get("default_compute"), inputs, sent, spec["jobs"], continues=continues)

    def _component_spec(self, configuration: Mapping[str, Any]) -> Mapping[str, Any]:
        if configuration.get("deploymentConfigurationType") != _PIPELINE_KIND:
            raise NotEmulated("web services", "Batch deployments are of models or of pipeline components here.")
        name, version = parts_of((configuration.get("componentId") or {}).get("assetId"), "components")
        spec = self._assets.get("components", name, version).get("componentSpec")
        if not isinstance(spec, dict) or spec.get("type") != "pipeline":
            raise Refusal(400, f"The component {name!r} isn't a pipeline component.")
        return spec


def _pipeline(
    compute: object,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    steps: Mapping[str, Any],
    *,
    continues: object = None,
) -> dict[str, Any]:
    settings = {"default_compute": compute, "continue_on_step_failure": continues}
    return {
        "jobType": "Pipeline",
        "computeId": compute,
        "settings": {key: value for key, value in settings.items() if value is not None},
        "inputs": dict(inputs),
        "outputs": dict(outputs),
        "jobs": dict(steps),
    }


def _options(deployment: Mapping[str, Any], file_name: str) -> dict[str, Any]:
    """Return the driver's options by their names.

    Raises:
        Refusal: 400: a setting isn't what it has to be.
    """
    if not _FILE_NAME_PATTERN.fullmatch(file_name):
        raise Refusal(400, f"'outputFileName' is {file_name!r}: expected the name of a file.")
    action = str(deployment["outputAction"])
    if action not in {"AppendRow", "SummaryOnly"}:
        raise Refusal(400, f"'outputAction' is {action!r}: use 'AppendRow' or 'SummaryOnly'.")
    retries = {**_DEFAULTS["retrySettings"], **deployment["retrySettings"]}
    instances = _whole("instanceCount", deployment["resources"].get("instanceCount") or 1, 1)
    at_once = instances * _whole("maxConcurrencyPerInstance", deployment["maxConcurrencyPerInstance"], 1)
    return {
        "--mini-batch-size": _whole("miniBatchSize", deployment["miniBatchSize"], 1),
        "--workers": min(at_once, MAX_PROCESSES),
        "--error-threshold": _whole("errorThreshold", deployment["errorThreshold"], -1),
        "--max-retries": _whole("maxRetries", retries["maxRetries"], 0),
        "--timeout": seconds_of(retries["timeout"]),
        "--action": action,
        "--output-file": file_name,
    }


def _whole(name: str, value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Refusal(400, f"{name!r} is {value!r}: expected a whole number from {least}.")
    return value


def _overrides(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that an invocation has of its own."""
    keys = ("miniBatchSize", "errorThreshold", "outputFileName", "retrySettings")
    found = {key: sent[key] for key in keys if sent.get(key) is not None}
    compute = sent.get("compute") or {}
    if compute.get("instanceCount"):
        found["resources"] = {"instanceCount": compute["instanceCount"]}
    return found


def _input(name: str, sent: object) -> dict[str, Any]:
    kind = _TYPES.get(str((sent if isinstance(sent, dict) else {}).get("jobInputType")).lower())
    if not isinstance(sent, dict) or kind is None:
        raise Refusal(400, f"The input {name!r} can't be read: {sent!r}.")
    if kind == "literal":
        return {"jobInputType": kind, "value": None if sent.get("value") is None else str(sent["value"])}
    if not sent.get("uri"):
        raise Refusal(400, f"The input {name!r} has no 'uri'.")
    return {"jobInputType": kind, "uri": str(sent["uri"])}


def _output(sent: object) -> dict[str, Any]:
    kind = _TYPES.get(str((sent if isinstance(sent, dict) else {}).get("jobOutputType")).lower())
    if not isinstance(sent, dict) or kind is None:
        raise Refusal(400, f"The output {sent!r} can't be read.")
    uri = str(sent.get("uri") or "") or None
    if uri and (found := _OLD_OUTPUT_PATTERN.fullmatch(uri)):  # with the id of a datastore in place of its name
        uri = f"azureml://datastores/{found[1]}/paths/{re.sub('/+', '/', found[2])}"
    return {"jobOutputType": kind, "uri": uri}


def _folder(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return an output that is named by a datastore and a path, as older clients have it."""
    datastore = name_in(str(sent.get("datastoreId") or "").removeprefix("azureml:"), "datastores")
    path = str(sent.get("path") or "").strip("/")
    return {"jobOutputType": "uri_folder", "uri": f"azureml://datastores/{datastore}/paths/{path}/"}
