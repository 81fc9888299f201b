"""Azure Resource Manager: one subscription, one resource group, its workspaces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mnistkit.emulator.hub import Hub
from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import body_of, list_of
from mnistkit.emulator.routing import Refusal, Request, Response, Route
from mnistkit.emulator.tokens import Tokens
from mnistkit.emulator.workspace import Workspace

__all__ = ["ResourceManager"]

_HOST = "management.azure.com"
_FILTER_PATTERN = re.compile(r"(?:resourceGroup eq '(?P<group>[^']+)' and )?resourceType eq '(?P<type>[^']+)'")
_CREATION_TIME = "2026-01-01T00:00:00.0000000Z"
_PROVIDER = "Microsoft.MachineLearningServices"
_WORKSPACE_TYPE = f"{_PROVIDER}/workspaces"
_SUBSCRIPTION_PATH = "/subscriptions/{subscription_}"
_DEPLOYMENT_PATH = "/providers/Microsoft.Resources/deployments/{name}"
_DEFAULT_GROUP_PREFIX = "defaultresourcegroup-"
_RESOURCE_TYPES = ("workspaces", "workspaces/computes", "operations")
_REGIONS = (
    *("East US", "East US 2", "Central US", "North Central US", "South Central US", "West Central US", "West US"),
    *("West US 2", "West US 3", "Canada Central", "Canada East", "Brazil South", "North Europe", "West Europe"),
    *("UK South", "UK West", "France Central", "Germany West Central", "Norway East", "Switzerland North"),
    *("Sweden Central", "South Africa North", "UAE North", "Central India", "East Asia", "Southeast Asia"),
    *("Japan East", "Japan West", "Korea Central", "Australia East", "Australia Southeast"),
)


class ResourceManager:
    """The resources of the subscription: one resource group, and its workspaces."""

    def __init__(self, workspace: Workspace, tokens: Tokens, hub: Hub) -> None:
        self._workspace = workspace
        self._tokens, self._hub = tokens, hub

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        workspaces = "/providers/Microsoft.MachineLearningServices/workspaces"
        group = "/subscriptions/{subscription_}/resourceGroups/{group_}"
        return (
            Route("GET", "/subscriptions", self._list_subscriptions, host=_HOST),
            Route("GET", "/tenants", self._list_tenants, host=_HOST),
            Route("GET", "{scope}", self._get_workspace, host=_HOST),
            Route("DELETE", "{scope}", self._delete_workspace, host=_HOST),
            Route("PATCH|PUT", "{scope}", self._refuse_change, host=_HOST),
            Route("GET|PUT", f"{group}{_DEPLOYMENT_PATH}", self._deploy, host=_HOST),
            Route("GET", f"{group}{_DEPLOYMENT_PATH}/operations", self._list_operations, host=_HOST),
            Route("GET|PUT", f"{_SUBSCRIPTION_PATH}/resourceGroups/{{name}}", self._get_group, host=_HOST),
            Route("GET", f"{_SUBSCRIPTION_PATH}/resourceGroups/{{name}}/resources", self._list_default, host=_HOST),
            Route("GET", f"/subscriptions/{{subscription_}}/providers/{_PROVIDER}", self._get_provider, host=_HOST),
            Route("GET", f"{group}{workspaces}", self._list_workspaces, host=_HOST),
            Route("GET", f"/subscriptions/{{subscription_}}{workspaces}", self._list_workspaces, host=_HOST),
            Route("GET", "/subscriptions/{subscription_}/resources", self._list_resources, host=_HOST),
        )

    def _list_subscriptions(self, request: Request) -> Response:
        subscription = self._workspace.subscription_id
        return Response.json(
            {
                "value": [
                    {
                        "id": f"/subscriptions/{subscription}",
                        "subscriptionId": subscription,
                        "displayName": "emulator",
                        "state": "Enabled",
                        "tenantId": self._tokens.identity.tenant_id,
                        "authorizationSource": "RoleBased",
                    }
                ]
            }
        )

    def _list_tenants(self, request: Request) -> Response:
        tenant = self._tokens.identity.tenant_id
        return Response.json({"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant}]})

    def _get_provider(self, request: Request) -> Response:
        types = [
            {"resourceType": each, "locations": _REGIONS, "apiVersions": ["2021-07-01"]} for each in _RESOURCE_TYPES
        ]
        where = f"/subscriptions/{self._workspace.subscription_id}/providers/{_PROVIDER}"
        about = {"id": where, "namespace": _PROVIDER, "registrationState": "Registered"}
        return Response.json(about | {"registrationPolicy": "RegistrationRequired", "resourceTypes": types})

    def _refuse_change(self, request: Request) -> Response:
        raise NotEmulated("workspaces", f"The workspace {self._workspace.name!r} can't be changed here.")

    def _delete_workspace(self, request: Request) -> Response:
        self._hub.delete(self._workspace)
        return Response.json({})

    def _deploy(self, request: Request, name: str) -> Response:
        """Create the workspaces of a template; what they are said to need is there."""
        template: dict[str, Any] = {}
        if request.method == "PUT":
            template = ((body_of(request).get("properties") or {}).get("template")) or {}
            made = [each for each in list_of(template, "resources", dict) if each.get("type") == _WORKSPACE_TYPE]
            for resource in made:
                self._hub.create(resource.get("name"), location=str(resource.get("location") or ""))
        mine = self._workspace
        where = f"/subscriptions/{mine.subscription_id}/resourceGroups/{mine.resource_group}"
        about = {"id": f"{where}{_DEPLOYMENT_PATH.format(name=name)}", "name": name}
        state = {"provisioningState": "Succeeded", "mode": "Incremental", "timestamp": _CREATION_TIME}
        return Response.json(about | {"type": "Microsoft.Resources/deployments", "properties": state})

    def _list_operations(self, request: Request, name: str) -> Response:
        return Response.json({"value": []})

    def _get_group(self, request: Request, name: str) -> Response:
        mine = self._workspace.resource_group
        if name.lower() == mine.lower():
            return Response.json(self._group(mine))
        if not name.lower().startswith(_DEFAULT_GROUP_PREFIX):
            text = f"There is no resource group {name!r} here: this emulator has {mine!r} alone."
            if request.method == "PUT":
                raise NotEmulated("workspaces", text)
            raise Refusal(404, text, code="ResourceGroupNotFound")
        return Response.json(self._group(name))

    def _list_default(self, request: Request, name: str) -> Response:
        """List what Azure's own default groups hold: the log analytics that each workspace gets."""
        where = f"/subscriptions/{self._workspace.subscription_id}/resourceGroups/{name}"
        kind = "Microsoft.OperationalInsights/workspaces"
        one = {"id": f"{where}/providers/{kind}/default", "name": "default", "type": kind}
        return Response.json({"value": [one] if name.lower().startswith(_DEFAULT_GROUP_PREFIX) else []})

    def _group(self, name: str) -> dict[str, Any]:
        return {
            "id": f"/subscriptions/{self._workspace.subscription_id}/resourceGroups/{name}",
            "name": name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": self._workspace.location,
            "properties": {"provisioningState": "Succeeded"},
        }

    def _get_workspace(self, request: Request) -> Response:
        return Response.json(self._described(self._workspace))

    def _list_workspaces(self, request: Request) -> Response:
        return Response.json({"value": [self._described(each) for each in self._hub.workspaces()]})

    def _list_resources(self, request: Request) -> Response:
        """List the resources of a type and, if it is named, of a resource group."""
        terms = _FILTER_PATTERN.fullmatch(request.query.get("$filter", ""))
        if not terms:
            raise Refusal(400, "The emulator lists resources by resourceType, and resourceGroup before it, alone.")
        group = terms["group"] or self._workspace.resource_group
        is_wanted = terms["type"].lower() == _WORKSPACE_TYPE.lower()
        is_wanted = is_wanted and group.lower() == self._workspace.resource_group.lower()
        found = [self._described(each) for each in self._hub.workspaces()] if is_wanted else []
        shown = [{name: each[name] for name in ("id", "name", "type", "location", "tags")} for each in found]
        return Response.json({"value": shown})

    def _described(self, mine: Workspace) -> dict[str, Any]:
        provider = f"/subscriptions/{mine.subscription_id}/resourceGroups/{mine.resource_group}/providers/Microsoft"
        return {
            "id": mine.scope,
            "name": mine.name,
            "type": _WORKSPACE_TYPE,
            "location": mine.location,
            "tags": {},
            "properties": {
                "workspaceId": mine.id,
                "discoveryUrl": f"{mine.url}/discovery",
                "mlFlowTrackingUri": f"azureml://{mine.api_host}/mlflow/v1.0{mine.scope}",
                "friendlyName": mine.name,
                "description": "",
                "storageAccount": f"{provider}.Storage/storageAccounts/{mine.storage_account}",
                "keyVault": f"{provider}.KeyVault/vaults/emulator",
                "applicationInsights": f"{provider}.insights/components/emulator",
                "containerRegistry": None,
                "provisioningState": "Succeeded",
                "creationTime": _CREATION_TIME,
                "hbiWorkspace": False,
            },
            "identity": {
                "type": "SystemAssigned",
                "principalId": self._tokens.identity.client_id,
                "tenantId": self._tokens.identity.tenant_id,
            },
            "sku": {"name": "Basic", "tier": "Basic"},
        }
