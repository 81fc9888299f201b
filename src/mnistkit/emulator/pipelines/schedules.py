"""Schedules of pipelines: recorded, shown and changed; none ever starts a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from mnistkit.emulator.payloads import allow_query, body_of, check_types, now
from mnistkit.emulator.pipelines.entities import active, entity_of, new_entity, pipeline_routes, status_word
from mnistkit.emulator.pipelines.published import PublishedPipelines
from mnistkit.emulator.routing import Request, Response, Route
from mnistkit.emulator.store import Store

__all__ = ["Schedules"]

_logger = logging.getLogger(__name__)
_KEYS = (
    *("Name", "PipelineId", "PipelineEndpointId", "PipelineSubmissionInfo", "Recurrence", "ScheduleType"),
    "DataStoreTriggerInfo",
)


class Schedules:
    """The schedules of a workspace."""

    def __init__(self, store: Store, published: PublishedPipelines) -> None:
        self._table, self._published = store.table("pipeline_schedules"), published

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return pipeline_routes(
            {
                "POST Schedules/Create": self._create,
                "GET Schedules": self._list,
                "GET Schedules/Pipeline/{pipeline}": self._of_pipeline,
                "GET Schedules/PipelineEndpoint/{endpoint}": self._of_endpoint,
                "GET Schedules/{schedule}": self._get,
                "PUT Schedules/{schedule}": self._change,
            }
        )

    def _create(self, request: Request) -> Response:
        sent = body_of(request, *_KEYS, needs=["Name", "PipelineSubmissionInfo"])
        _check(sent)
        if sent.get("PipelineEndpointId"):
            self._published.endpoint(sent["PipelineEndpointId"])
        else:
            self._published.pipeline(str(sent.get("PipelineId")))
        entity = new_entity(ProvisioningStatus="Completed", **{key: sent.get(key) for key in _KEYS})
        self._table[entity["Id"]] = entity
        _logger.warning("The schedule %r is recorded; this emulator starts no runs by schedules.", sent["Name"])
        return Response.json(entity)

    def _list(self, request: Request) -> Response:
        allow_query(request, "activeOnly")
        return active(request, self._table.views())

    def _of_pipeline(self, request: Request, pipeline: str) -> Response:
        return Response.json([each for each in self._table.views() if each["PipelineId"] == pipeline])

    def _of_endpoint(self, request: Request, endpoint: str) -> Response:
        return Response.json([each for each in self._table.views() if each["PipelineEndpointId"] == endpoint])

    def _get(self, request: Request, schedule: str) -> Response:
        return Response.json(entity_of(self._table, schedule, "schedule"))

    def _change(self, request: Request, schedule: str) -> Response:
        sent = body_of(request)
        _check(sent)
        entity_of(self._table, schedule, "schedule")
        with self._table.change(schedule) as entity:
            entity |= {key: sent[key] for key in _KEYS if key in sent}
            entity |= {"EntityStatus": status_word(sent.get("EntityStatus", entity["EntityStatus"]))}
            entity["LastModifiedDate"] = now()
        return Response.json(entity_of(self._table, schedule, "schedule"))


def _check(sent: dict[str, Any]) -> None:
    check_types(sent, Name=str, PipelineSubmissionInfo=dict, Recurrence=dict, DataStoreTriggerInfo=dict)
    check_types(sent, PipelineId=str, PipelineEndpointId=str)
