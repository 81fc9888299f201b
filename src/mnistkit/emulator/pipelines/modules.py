"""Modules: the code and the interface of steps; and the sources and types of their data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import body_of, check_types, list_of
from mnistkit.emulator.pipelines.entities import blob_location, entity_of, new_entity, pipeline_routes
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.services.snapshots import Snapshots
from mnistkit.emulator.store import Store, Table

__all__ = ["HYPERDRIVE_STEP", "Modules"]

HYPERDRIVE_STEP = "HyperDriveStep"
_STEP_TYPES = ("PythonScriptStep", "CommandStep", HYPERDRIVE_STEP)
_MODULE_KEYS = (
    *("Name", "Description", "Hash", "IsDeterministic", "ModuleExecutionType", "ModuleType", "IdentifierHash"),
    *("StructuredInterface", "StorageId", "Properties", "Category", "Runconfig", "CloudSettings", "StepType"),
)
_PORT_KEYS, _PARAMETER_KEYS = ("Inputs", "Outputs"), ("Parameters", "MetadataParameters")
_SQL_KEYS = ("SqlTableName", "SqlQuery", "SqlStoredProcedureName", "SqlStoredProcedureParams")


class Modules:
    """The modules and data sources of a workspace; neither ever changes."""

    def __init__(self, store: Store, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._modules, self._sources = store.table("pipeline_modules"), store.table("pipeline_sources")
        self._types = store.table("pipeline_data_types")

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return pipeline_routes(
            {
                "GET DataTypes": self._list_types,
                "POST DataTypes": self._make_type,
                "PUT DataTypes/{name}": self._change_type,
                "POST Modules": self._make_module,
                "GET Modules/Hash/{fingerprint}": self._find_module,
                "GET Modules/{module}": self._get_module,
                "POST DataSources": self._make_source,
                "GET DataSources/Hash/{fingerprint}": self._find_source,
                "GET DataSources/{source}": self._get_source,
            }
        )

    def module(self, module_id: str) -> Mapping[str, Any]:
        """Return a module; it must not be changed.

        Raises:
            Refusal: 404: there is none.
        """
        return entity_of(self._modules, module_id, "module")

    def source(self, source_id: str) -> tuple[str, str]:
        """Return the datastore of a data source, and its path there.

        Raises:
            Refusal: 404: there is none.
        """
        found = entity_of(self._sources, source_id, "data source")
        return str(found["DataStoreName"]), str(found.get("PathOnDataStore") or "")

    def _list_types(self, request: Request) -> Response:
        return Response.json(list(self._types.values()))

    def _make_type(self, request: Request) -> Response:
        sent = body_of(request, "Id", "Name", "Description", "IsDirectory", "ParentDataTypeIds", needs=["Id"])
        check_types(sent, Id=str, ParentDataTypeIds=list)
        if sent["Id"] in self._types:
            raise Refusal(400, f"The data type {sent['Id']!r} already exists.")
        self._types[sent["Id"]] = {**new_entity(), **sent}
        return Response.json(self._types[sent["Id"]])

    def _change_type(self, request: Request, name: str) -> Response:
        sent = body_of(request)
        self._types[name] = {**entity_of(self._types, name, "data type"), **sent, "Id": name}
        return Response.json(self._types[name])

    def _make_module(self, request: Request) -> Response:
        sent = body_of(request, "IsInterfaceOnly", "KvTags", *_MODULE_KEYS, needs=["Name", "StructuredInterface"])
        check_types(sent, Name=str, StructuredInterface=dict, Properties=dict)
        check_types(sent, **dict.fromkeys(("StorageId", "Runconfig", "IdentifierHash", "StepType"), str))
        sent["StructuredInterface"] = _interface(sent["StructuredInterface"])
        if sent.get("StepType") not in _STEP_TYPES:
            text = f"Steps of the type {sent.get('StepType')!r} aren't emulated, only {', '.join(_STEP_TYPES)}"
            raise NotEmulated("pipelines", f"{text}: {sent['Name']!r} can't be run.")
        if sent.get("StorageId"):
            self._snapshots.files(sent["StorageId"])
        entity = new_entity(UploadState="Completed", **{key: sent.get(key) for key in _MODULE_KEYS})
        self._modules[entity["Id"]] = entity
        return Response.json(entity)

    def _find_module(self, request: Request, fingerprint: str) -> Response:
        return self._shown(_by_hash(self._modules, fingerprint, "module"))

    def _get_module(self, request: Request, module: str) -> Response:
        return self._shown(self.module(module))

    @staticmethod
    def _shown(module: Mapping[str, Any]) -> Response:
        described = module["StructuredInterface"]
        inputs = [{"Name": each["Name"], "DataTypesIds": each.get("DataTypeIdsList")} for each in described["Inputs"]]
        outputs = [{"Name": each["Name"], "DataTypeId": each.get("DataTypeId")} for each in described["Outputs"]]
        interface = {key: _defaults(described.get(key) or ()) for key in _PARAMETER_KEYS}
        return Response.json(
            {"Data": module, "Interface": {**interface, "Ports": {"Inputs": inputs, "Outputs": outputs}}}
        )

    def _make_source(self, request: Request) -> Response:
        sent = body_of(request, needs=["Name", "DataStoreName"])
        check_types(sent, **dict.fromkeys(("Name", "DataStoreName", "PathOnDataStore", "IdentifierHash"), str))
        if any(sent.get(key) for key in _SQL_KEYS):
            raise NotEmulated("datastores", "Data of databases isn't emulated: use a blob container.")
        entity = new_entity(UploadState="Completed", **sent)
        entity["DataLocation"] = blob_location(sent["DataStoreName"], sent.get("PathOnDataStore") or "")
        self._sources[entity["Id"]] = entity
        return Response.json(entity)

    def _find_source(self, request: Request, fingerprint: str) -> Response:
        return Response.json(_by_hash(self._sources, fingerprint, "data source"))

    def _get_source(self, request: Request, source: str) -> Response:
        return Response.json(entity_of(self._sources, source, "data source"))


def _by_hash(table: Table, fingerprint: str, kind: str) -> Mapping[str, Any]:
    for each in reversed(table.views()):
        if each.get("IdentifierHash") == fingerprint:
            found: Mapping[str, Any] = each
            return found
    raise Refusal(404, f"There is no {kind} of that content.", code="NotFound")


def _interface(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return a module's interface with all of its lists.

    Raises:
        Refusal: 400: it can't be read.
    """
    found = {key: list_of(sent, key, dict) for key in (*_PORT_KEYS, *_PARAMETER_KEYS, "Arguments")}
    for key in (*_PORT_KEYS, *_PARAMETER_KEYS):
        for each in found[key]:
            check_types(each, Name=str, DataStoreMode=str, PathOnCompute=str, TrainingOutput=dict)
            if not each.get("Name"):
                raise Refusal(400, f"One of the {key} of the module has no name.")
    return {**sent, **found}


def _defaults(parameters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"Name": each["Name"], "DefaultValue": each.get("DefaultValue")} for each in parameters]
