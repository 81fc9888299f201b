"""Run outputs: the named outputs of jobs as assets, and their places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mnistkit.emulator.payloads import body_of, list_of
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.runs import Runs, public_record
from mnistkit.emulator.v2.jobs import JobResources
from mnistkit.emulator.v2.places import Places
from mnistkit.emulator.workspace import Workspace

__all__ = ["RunOutputs"]

_ASSET_PATTERN = re.compile(r"azureml://locations/.+/(?:data|models)/azureml_(.+)_output_([^/]+)/versions/1")
_MODEL_TYPES = {"custom_model": "CustomModel", "mlflow_model": "MLFlowModel", "triton_model": "TritonModel"}


class RunOutputs:
    """The named outputs of jobs, each an asset that isn't listed."""

    def __init__(self, workspace: Workspace, runs: Runs, jobs: JobResources, places: Places) -> None:
        self._workspace, self._runs, self._jobs, self._places = workspace, runs, jobs, places

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return (
            Route("POST", "/history/v1.0{scope}/rundata", self._run_data),
            Route("POST", "/data/v1.0{scope}/dataversion/batchGetResolvedUris", self._data_uris),
            Route("POST", "/modelregistry/v1.0{scope}/models/batchGetResolvedUris", self._model_uris),
        )

    def _run_data(self, request: Request) -> Response:
        run_id = str(body_of(request, needs=("runId",))["runId"])
        record = public_record(self._runs.get(run_id))
        where = f"azureml://locations/{self._workspace.location}/workspaces/{self._workspace.id}"
        outputs = {}
        for name, output in self._jobs.outputs(run_id).items():
            kind = "models" if output.is_model else "data"
            asset = f"{where}/{kind}/azureml_{run_id}_output_{name}/versions/1"
            outputs[name] = {"assetId": asset, "type": _MODEL_TYPES.get(output.kind, output.kind)}
        return Response.json({"runMetadata": record | {"outputs": outputs}})

    def _data_uris(self, request: Request) -> Response:
        return self._resolved(request, lambda uri: {"uri": uri, "type": "UriFolder"})

    def _model_uris(self, request: Request) -> Response:
        return self._resolved(request, lambda uri: {"path": uri})

    def _resolved(self, request: Request, shown: Any) -> Response:
        values = {}
        for asset in list_of(body_of(request), "values", str):
            found = _ASSET_PATTERN.fullmatch(asset)
            if found is None:
                raise Refusal(404, f"There is no asset {asset!r}.", code="NotFound")
            uri = self._jobs.output_uri(found[1], found[2])
            values[asset] = shown(self._places.datastore_uri(uri))
        return Response.json({"values": values})
