"""Deployments of online endpoints: a scoring script, or an MLflow model without one, each in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import check_texts, check_types
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.model_records import ModelRecords
from mnistkit.emulator.v2.places import Places
from mnistkit.emulator.v2.resources import parts_of

__all__ = ["check_deployment", "fill"]

_MODELS_FOLDER = "azureml-models"
_MLFLOW_SCRIPT = Path(__file__).with_name("mlflow_scoring.py")


def check_deployment(properties: Mapping[str, Any]) -> None:
    """Check what a deployment is requested with.

    Raises:
        Refusal: 400: it can't be deployed here.
    """
    check_types(properties, codeConfiguration=dict, model=str, environmentId=str, description=str)
    check_texts(properties, "environmentVariables", "properties")
    kind = properties.get("endpointComputeType")
    if kind != "Managed":
        raise NotEmulated("web services", f"Deployments on {kind!r} aren't emulated, only managed ones.")
    if not properties.get("codeConfiguration") and not properties.get("model"):
        raise NotEmulated(
            "web services", "Deployments of containers of one's own aren't emulated: use a scoring script."
        )


def fill(app: Path, properties: Mapping[str, Any], models: ModelRecords, places: Places) -> tuple[str, dict[str, str]]:
    """Write a deployment's script and model into its folder.

    The model is at ``azureml-models/<name>/<version>/``, which ``AZUREML_MODEL_DIR`` names.

    Args:
        app: The folder.
        properties: Of the deployment.
        models: Where its model is looked up.
        places: Finds its files.

    Returns:
        The path of the scoring script below the folder, and the variables of its environment.

    Raises:
        Refusal: 400: it can't be served; 404: its model or its code isn't there.
    """
    variables = {name: str(value) for name, value in (properties.get("environmentVariables") or {}).items()}
    code = properties.get("codeConfiguration") or {}
    if code.get("codeId"):
        places.copy(str(code["codeId"]), app)
    is_mlflow = False
    if properties.get("model"):
        name, version = parts_of(properties["model"], "models")
        uri = f"azureml:/models/{name}/versions/{version}"
        is_mlflow = models.get(f"{name}:{version}").get("_type") == "mlflow_model"
        folder = app / _MODELS_FOLDER / name / version
        base = places.datastore_uri(uri).rstrip("/").rpartition("/")[2]
        places.copy(uri, folder if "" in places.files(uri) else folder / base)
        variables["AZUREML_MODEL_DIR"] = str(folder)
    script = str(code.get("scoringScript") or "")
    if not script and is_mlflow:
        shutil.copyfile(_MLFLOW_SCRIPT, app / _MLFLOW_SCRIPT.name)
        script = _MLFLOW_SCRIPT.name
    if not script:
        raise Refusal(400, "The deployment needs a scoring script: only MLflow models are served without one.")
    variables["AZUREML_ENTRY_SCRIPT"] = script
    return script, variables
