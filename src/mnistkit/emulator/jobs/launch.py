"""A job's command and environment."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnistkit.emulator.jobs.job import LOCAL, Ended, Job, JobSteps
from mnistkit.emulator.jobs.plan import Input, Output, Plan
from mnistkit.emulator.jobs.references import VARIABLE_PREFIX
from mnistkit.emulator.services.runs import Runs
from mnistkit.emulator.settings import Settings
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.workspace import Workspace

__all__ = ["Launch", "description"]

_WRAPPER_FILE = Path(__file__).with_name("wrapper.py")
_TOKEN_MARGIN_SECONDS = 3600.0


class Launch:
    """Makes the commands of a workspace's jobs.

    Args:
        workspace: Whose jobs.
        runs: What is known of them.
        tokens: What they show.
        settings: What they have to keep to.
        environment: The variables that have them talk to this emulator.
    """

    def __init__(
        self, workspace: Workspace, runs: Runs, tokens: Tokens, settings: Settings, environment: Mapping[str, str]
    ) -> None:
        self._workspace, self._runs, self._tokens = workspace, runs, tokens
        self._settings, self._environment = settings, environment

    def command(self, job: Job, own: Path) -> tuple[list[str], dict[str, str]]:
        """Return a job's command and all of its environment.

        Args:
            job: Which one.
            own: A folder for its datasets.

        Raises:
            Ended: There is no interpreter that it could run in.
        """
        plan = job.plan
        if job.steps is not None:
            return self._shell(job, job.steps)
        places = {each.name: self._place(each, job, own) for each in plan.inputs}
        made = {each.name: self._output_place(each, job, own) for each in plan.outputs}
        referred = {f"{VARIABLE_PREFIX}{name}": place for name, place in (places | made).items()}
        referred |= {each.variable: str(each.place(job.folder, own)) for each in plan.references}
        values = places | made | {f"${name}": place for name, place in referred.items()}
        about = {
            "bytes": self._settings.job_bytes,
            "requirements": list(plan.requirements) if self._settings.check_environment else [],
            "datasets": {each.name: _configured(each) for each in plan.inputs if each.mode != "direct"},
            "files": {places[each.name]: each.file for each in plan.inputs if each.file},
            "outputs": {each.name: _configured_output(each, made[each.name], job.run_id) for each in plan.outputs},
            "command": plan.with_inputs(plan.command, values),
            "processes": plan.distribution.variables(_free_port()) if plan.distribution.kind else [],
            "note": plan.note if self._settings.check_environment else "",
        }
        environment = self._variables(job) | dict(plan.variables) | referred
        for each in plan.inputs:
            environment |= {each.variable: places[each.name]}
            environment |= {f"AZURE_ML_INPUT_{each.variable}": places[each.name]} if each.mode != "direct" else {}
        if plan.inputs:
            environment["AZUREML_DATASET_ENVIRONMENT_VARS"] = ",".join(
                f"{each.variable}:{each.mode}" for each in plan.inputs
            )
        environment |= {f"AZURE_ML_OUTPUT_{name}": place for name, place in made.items()}
        arguments = [plan.with_inputs(each, values) for each in plan.arguments]
        interpreter = _interpreter(plan, job.environment)
        environment["PATH"] = os.pathsep.join([str(Path(interpreter).parent), environment.get("PATH", os.defpath)])
        environment["MNISTKIT_JOB"] = json.dumps(about)
        return [interpreter, str(_WRAPPER_FILE), plan.script, *arguments], environment

    def _shell(self, job: Job, steps: JobSteps) -> tuple[list[str], dict[str, str]]:
        """Return the command and environment of a job whose files are there already."""
        plan, is_checked = job.plan, self._settings.check_environment
        about = {
            "bytes": self._settings.job_bytes,
            "requirements": list(plan.requirements) if is_checked else [],
            "command": steps.command(),
            "processes": plan.distribution.variables(_free_port()) if plan.distribution.kind else [],
            "note": plan.note if is_checked else "",
            "is_shell": True,
        }
        environment = self._variables(job) | dict(steps.variables())
        folder = str(Path(sys.executable).parent)
        environment["PATH"] = os.pathsep.join([folder, environment.get("PATH", os.defpath)])
        environment["MNISTKIT_JOB"] = json.dumps(about)
        return [sys.executable, str(_WRAPPER_FILE)], environment

    def _place(self, each: Input, job: Job, own: Path) -> str:
        if each.mode == "direct":
            return each.saved_id
        place = job.folder / each.path if each.path else own / "data" / each.name
        place.mkdir(parents=True, exist_ok=True)
        return str(place)

    @staticmethod
    def _output_place(each: Output, job: Job, own: Path) -> str:
        place = job.folder / each.path if each.path else own / "outputs" / each.name
        place.mkdir(parents=True, exist_ok=True)
        return str(place)

    def _variables(self, job: Job) -> dict[str, str]:
        """Return the environment by which the SDK recognizes a job of this run."""
        workspace = self._workspace
        base = job.environment or os.environ
        seconds = self._settings.job_seconds + _TOKEN_MARGIN_SECONDS
        return {
            **{name: value for name, value in base.items() if not name.startswith(("AZUREML_", "AZURE_", "MNISTKIT_"))},
            **self._environment,
            "AZUREML_ARM_SUBSCRIPTION": workspace.subscription_id,
            "AZUREML_ARM_RESOURCEGROUP": workspace.resource_group,
            "AZUREML_ARM_WORKSPACE_NAME": workspace.name,
            "AZUREML_ARM_PROJECT_NAME": job.experiment,
            "AZUREML_EXPERIMENT_ID": self._runs.get(job.run_id)["experimentId"],
            "AZUREML_WORKSPACE_ID": workspace.id,
            "AZUREML_WORKSPACE_SCOPE": workspace.scope,
            "AZUREML_EXPERIMENT_SCOPE": f"{workspace.scope}/experiments/{job.experiment}",
            "AZUREML_RUN_ID": job.run_id,
            "AZUREML_ROOT_RUN_ID": self._runs.get(job.run_id)["rootRunId"],
            "AZUREML_RUN_TOKEN": self._tokens.issue(seconds=seconds),
            "AZUREML_RUN_TOKEN_EXPIRY": str(int(time.time() + seconds)),
            "AZUREML_SERVICE_ENDPOINT": workspace.url,
            "AZUREML_RUN_HISTORY_SERVICE_ENDPOINT": workspace.url,
            "AZUREML_DISCOVERY_SERVICE_ENDPOINT": f"{workspace.url}/discovery",
            "MLFLOW_TRACKING_URI": _tracking_uri(workspace),
            "MLFLOW_TRACKING_TOKEN": self._tokens.issue(seconds=seconds),
            "MLFLOW_RUN_ID": job.run_id,
            "MLFLOW_EXPERIMENT_NAME": job.experiment,
            "MLFLOW_EXPERIMENT_ID": self._runs.get(job.run_id)["experimentId"],
            "AZUREML_TARGET_TYPE": "batchai",  # the SDK's watcher of log files would log itself without end
            "PYTHONUNBUFFERED": "1",
        }


def description(
    workspace: Workspace, record: Mapping[str, Any], job: Job, configuration: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of a run's record that come from its job.

    Args:
        workspace: Whose run.
        record: What it says so far.
        job: The job.
        configuration: As it was submitted.
    """
    path = f"/execution/v1.0{workspace.scope}/experiments/{job.experiment}/runs/{job.run_id}/cancel"
    properties = {"_azureml.ComputeTargetType": LOCAL if job.plan.target == LOCAL else "amlctrain"}
    properties |= {"ContentSnapshotId": job.snapshot_id} if job.snapshot_id else {}
    return {
        "status": "Queued",
        "runType": record["runType"] or "azureml.scriptrun",
        "target": job.plan.target,
        "scriptName": job.plan.script or None,
        "runDefinition": configuration,
        "properties": record["properties"] | properties,
        "inputDatasets": [_lineage(each) for each in job.plan.inputs],
        "cancelUri": f"{workspace.url}{path}",
        "_isJob": True,
        "_snapshot": job.snapshot_id,
    }


def _lineage(each: Input) -> dict[str, Any]:
    identifier = {"savedId": each.saved_id, "registeredId": None, "registeredVersion": None}
    details = {"inputName": each.name, "mechanism": each.mode.capitalize(), "pathOnCompute": each.path or None}
    return {"identifier": identifier, "consumptionType": "RunInput", "inputDetails": details}


def _configured(each: Input) -> dict[str, Any]:
    """Return what the SDK needs to download a dataset; a mount would need privileges."""
    where = {"Dataset": {"Id": each.saved_id}}
    return {
        "DataLocation": where,
        "Mechanism": "Download",
        "EnvironmentVariableName": each.variable,
        "Overwrite": True,
        "Options": None,
    }


def _configured_output(each: Output, place: str, run_id: str) -> dict[str, Any]:
    """Return what the SDK needs to upload an output when the job is through, and to register it."""
    destination = each.destination.replace("{run-id}", run_id).replace("{output-name}", each.name)
    registration = each.options.get("registrationOptions") or {}
    upload = each.options.get("uploadOptions") or {}
    patterns = (upload.get("sourceGlobs") or {}).get("patterns")
    dataset = registration.get("datasetRegistrationOptions") or {}
    return {
        "OutputLocation": {"DataPath": {"DatastoreName": each.datastore, "RelativePath": destination}},
        "Mechanism": "Upload",
        "AdditionalOptions": {
            "PathOnCompute": place,
            "UploadOptions": {
                # what is written to a mount replaces what was there
                "Overwrite": bool(upload.get("overwrite")) or each.mode == "mount",
                "SourceGlobs": patterns,
            },
            "RegistrationOptions": {
                "Name": registration.get("name"),
                "Description": registration.get("description"),
                "Tags": registration.get("tags"),
                "Properties": registration.get("properties"),
                "DatasetRegistrationOptions": {"AdditionalTransformation": dataset.get("additionalTransformation")},
            },
        },
    }


def _tracking_uri(workspace: Workspace) -> str:
    """Return the address of MLflow's services: Azure's own, or where its plugin isn't installed, one without it."""
    try:
        has_plugin = importlib.util.find_spec("azureml.mlflow") is not None
    except ModuleNotFoundError:
        has_plugin = False
    return f"{'azureml' if has_plugin else 'https'}://{workspace.api_host}/mlflow/v2.0{workspace.scope}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _interpreter(plan: Plan, environment: Mapping[str, str]) -> str:
    if not plan.interpreter or not environment:
        return sys.executable
    found = shutil.which(plan.interpreter, path=environment.get("PATH"))
    if found is None:
        raise Ended("Failed", f"There is no interpreter {plan.interpreter!r} here.")
    return found
