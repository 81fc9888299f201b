"""MLflow tracking: the experiments of run history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.mlflow.entities import experiment_of
from mnistkit.emulator.mlflow.rest import paged, routes_of, sent_to, stage_of, tags_of, texts_of
from mnistkit.emulator.mlflow.search import parse_filter, sorted_by
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.experiments import Experiments
from mnistkit.emulator.workspace import Workspace

__all__ = ["ExperimentTracking"]

_DEFAULT_PAGE_SIZE = 1000


class ExperimentTracking:
    """MLflow's interface to a workspace's experiments."""

    def __init__(self, workspace: Workspace, experiments: Experiments) -> None:
        self._workspace, self._experiments = workspace, experiments

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return routes_of(
            [
                ("POST", "experiments/create", self._create),
                ("GET", "experiments/get", self._get),
                ("GET", "experiments/get-by-name", self._get_by_name),
                ("GET|POST", "experiments/search", self._search),
                ("GET", "experiments/list", self._search),
                ("POST", "experiments/delete", self._delete),
                ("POST", "experiments/restore", self._restore),
                ("POST", "experiments/set-experiment-tag", self._tag),
            ]
        )

    def _create(self, request: Request) -> Response:
        sent = sent_to(request, "name")
        if str(sent["name"]) in self._experiments:
            raise Refusal(409, f"Experiment {sent['name']!r} already exists.")
        made = self._experiments.ensure(str(sent["name"]))
        self._experiments.change(made["experimentId"], tags=tags_of(sent))
        return Response.json({"experiment_id": made["experimentId"]})

    def _get(self, request: Request) -> Response:
        found = self._experiments.by_id_or_default(str(sent_to(request, "experiment_id")["experiment_id"]))
        return Response.json({"experiment": experiment_of(found, self._workspace)})

    def _get_by_name(self, request: Request) -> Response:
        found = self._experiments.get(str(sent_to(request, "experiment_name")["experiment_name"]))
        return Response.json({"experiment": experiment_of(found, self._workspace)})

    def _search(self, request: Request) -> Response:
        sent = sent_to(request)
        shown = [experiment_of(each, self._workspace) for each in self._experiments.all()]
        view = stage_of(sent.get("view_type"))
        shown = [each for each in shown if view in {None, each["lifecycle_stage"]}]
        fits = parse_filter(str(sent.get("filter") or ""), _value)
        orders = texts_of(sent, "order_by") or ["creation_time DESC"]
        found = sorted_by([each for each in shown if fits(each)], orders, _value)
        items, more = paged(found, sent, _DEFAULT_PAGE_SIZE)
        return Response.json({"experiments": list(items), **more})

    def _delete(self, request: Request) -> Response:
        experiment = self._experiments.by_id_or_default(str(sent_to(request, "experiment_id")["experiment_id"]))
        self._experiments.change(experiment["experimentId"], archive=True)
        return Response.json({})

    def _restore(self, request: Request) -> Response:
        experiment = self._experiments.by_id_or_default(str(sent_to(request, "experiment_id")["experiment_id"]))
        self._experiments.change(experiment["experimentId"], archive=False)
        return Response.json({})

    def _tag(self, request: Request) -> Response:
        sent = sent_to(request, "experiment_id", "key")
        experiment = self._experiments.by_id_or_default(str(sent["experiment_id"]))
        self._experiments.change(experiment["experimentId"], tags={str(sent["key"]): str(sent.get("value") or "")})
        return Response.json({})


def _value(experiment: Mapping[str, Any], kind: str, key: str) -> Any:
    if kind == "tag":
        return next((each["value"] for each in experiment["tags"] if each["key"] == key), None)
    if kind != "attribute" or key not in experiment:
        raise Refusal(400, f"Experiments can't be searched by {kind} {key!r}.")
    return experiment[key]
